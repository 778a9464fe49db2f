// CUDA's names for a C++ compiler: a kernel becomes a function that is called once for each thread of
// its grid. Threads that meet at a barrier are fibers, switched without the kernel's help.
#pragma once
#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(threads)
#define __restrict__
#define __shared__ static

struct dim3 { unsigned x, y, z; };
struct uchar4 { unsigned char x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int atomicOr(int* at, int value) { const int old = *at; *at |= value; return old; }
static dim3 gridDim, blockDim, blockIdx, threadIdx;

template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }
inline int atomicAdd(int* at, int value) { const int old = *at; *at += value; return old; }
inline unsigned atomicAdd(unsigned* at, unsigned value) { const unsigned old = *at; *at += value; return old; }
inline float atomicAdd(float* at, float value) { const float old = *at; *at += value; return old; }

struct __half { std::uint16_t bits; };

inline float __half2float(__half half) {
    const std::uint32_t sign = std::uint32_t(half.bits & 0x8000) << 16, rest = half.bits & 0x7fff;
    if (rest >= 0x7c00) {
        const std::uint32_t bits = sign | 0x7f800000 | (rest & 0x3ff) << 13;
        float value; std::memcpy(&value, &bits, 4); return value;
    }
    if (rest < 0x400) return (sign ? -1.0f : 1.0f) * float(rest) * 0x1p-24f;
    const std::uint32_t bits = sign | ((rest << 13) + (112u << 23));
    float value; std::memcpy(&value, &bits, 4); return value;
}

inline __half __float2half_rn(float value) {
    std::uint32_t bits; std::memcpy(&bits, &value, 4);
    const std::uint16_t sign = bits >> 16 & 0x8000;
    const float size = std::fabs(value);
    if (std::isnan(value)) return {std::uint16_t(sign | 0x7e00)};
    if (size >= 65520.0f) return {std::uint16_t(sign | 0x7c00)};
    if (size < 0x1p-14f) return {std::uint16_t(sign | std::uint16_t(std::rint(size * 0x1p24f)))};
    std::uint32_t rest = bits & 0x7fffffff;
    rest += 0xfff + (rest >> 13 & 1);
    return {std::uint16_t(sign | ((rest >> 13) - (112u << 10)))};
}

namespace fibers {
constexpr std::size_t kStack = 1 << 15;
struct Fiber { ucontext_t context; jmp_buf resume; bool started = false, done = false; std::vector<char> stack; };
static std::vector<Fiber> fibers;
static Fiber* current = nullptr;
static jmp_buf scheduler;
static ucontext_t home;
static void (*body)(void*);
static void* argument;
static bool met;

inline void entry() {
    body(argument);
    current->done = true;
    _longjmp(scheduler, 1);
}

// Run a fiber until it ends or meets a barrier.
inline void step(Fiber& fiber) {
    current = &fiber;
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    getcontext(&fiber.context);
    fiber.stack.resize(kStack);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, entry, 0);
    setcontext(&fiber.context);
}
}  // namespace fibers

inline void __syncthreads() {
    fibers::met = true;
    if (!_setjmp(fibers::current->resume)) _longjmp(fibers::scheduler, 1);
}
inline int __syncthreads_or(int value) {
    static int any;
    if (value) any = 1;
    __syncthreads();
    const int result = any;
    __syncthreads();
    if (threadIdx.x == 0) any = 0;
    __syncthreads();
    return result;
}

inline void set_thread(unsigned i) {
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
}

// Whether a kernel has barriers shows when the first thread runs: without one it ends at once.
template <class Arguments>
inline void run_grid(void (*kernel)(Arguments), const void* packed, const unsigned* shape) {
    static void (*called)(Arguments);
    static Arguments arguments;
    called = kernel;
    std::memcpy(&arguments, packed, sizeof arguments);
    gridDim = {shape[0], shape[1], shape[2]}, blockDim = {shape[3], shape[4], shape[5]};
    const unsigned count = blockDim.x * blockDim.y * blockDim.z;
    fibers::body = [](void*) { called(arguments); };
    if (fibers::fibers.size() < count) fibers::fibers.resize(count);
    fibers::met = false;
    for (unsigned b = 0; b < gridDim.x * gridDim.y * gridDim.z; b++) {
        blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
        unsigned first = 0;
        if (b == 0 || fibers::met) {
            for (unsigned i = 0; i < count; i++) fibers::fibers[i].started = fibers::fibers[i].done = false;
            set_thread(0);
            fibers::step(fibers::fibers[0]);
            first = 1;
        }
        if (!fibers::met) {
            for (unsigned i = first; i < count; i++) set_thread(i), called(arguments);
            continue;
        }
        for (bool busy = true; busy;) {
            busy = false;
            for (unsigned i = first; i < count; i++) {
                if (fibers::fibers[i].done) continue;
                set_thread(i);
                fibers::step(fibers::fibers[i]);
                busy |= !fibers::fibers[i].done;
            }
            first = 0;
            for (unsigned i = 0; i < count && !busy; i++) busy = !fibers::fibers[i].done;
        }
    }
}

// All else is hidden, so that the libraries do not take each other's functions.
#define EXPORT(kernel, Arguments)                                                            \
    extern "C" __attribute__((visibility("default"))) void run_##kernel(                     \
        const void* packed, const unsigned* shape) {                                         \
        run_grid<Arguments>([](Arguments a) { kernel(a); }, packed, shape);                  \
    }                                                                                        \
    extern "C" __attribute__((visibility("default"))) unsigned size_##kernel() {             \
        return sizeof(Arguments);                                                            \
    }
