// What pycuda needs of libcuda, on this machine: memory is the host's, every stream is a thread that
// does its work late, and kernels are the C++ twins. It refuses what CUDA refuses: calls without a
// current context, copies from memory that is not pinned, addresses that are not allocated, and
// launches with arguments of another size. The rest of libcuda is answered with "not supported".
#include <dlfcn.h>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using Address = unsigned long long;
enum { OK = 0, INVALID = 1, NO_CONTEXT = 201, NOT_FOUND = 500, FAILED = 719 };

static std::mutex lock;
static std::condition_variable moved;
static std::map<Address, size_t> device_memory, host_memory;
static int retained, most_retained, streams, events, modules, launches, fail_launch;
static thread_local std::vector<void*> current;
static std::mutex kernels;  // the twins keep their thread's index in one place
static int context;

struct Event { long wanted = 0, reached = 0; std::chrono::steady_clock::time_point at; };

struct Stream {
    std::deque<std::function<void()>> work;
    bool busy = false, ended = false;
    std::thread thread{[this] { run(); }};
    void run() {
        std::unique_lock<std::mutex> held(lock);
        for (;;) {
            moved.wait(held, [this] { return ended || !work.empty(); });
            if (work.empty()) return;
            auto next = std::move(work.front());
            work.pop_front();
            busy = true;
            held.unlock();
            std::this_thread::sleep_for(std::chrono::microseconds(300));
            next();
            held.lock();
            busy = false;
            moved.notify_all();
        }
    }
};
static std::vector<Stream*> all_streams;

struct Kernel { void (*run)(const void*, const unsigned*); unsigned size; };

static bool inside(const std::map<Address, size_t>& memory, Address at, size_t size) {
    auto next = memory.upper_bound(at);
    if (next == memory.begin()) return false;
    --next;
    return at + size <= next->first + next->second;
}

static void add(Stream* stream, std::function<void()> work) {
    stream->work.push_back(std::move(work));
    moved.notify_all();
}

#define NEEDS_CONTEXT                         \
    if (current.empty()) return NO_CONTEXT;   \
    std::unique_lock<std::mutex> held(lock);

extern "C" {
int cuInit(unsigned) { return OK; }
int cuDriverGetVersion(int* version) {
    const char* told = std::getenv("HOST_DRIVER_VERSION");
    *version = told ? std::atoi(told) : 13000;
    return OK;
}
int cuGetErrorString(int error, const char** text) {
    *text = error == NO_CONTEXT ? "invalid device context" : error == FAILED ? "launch failed" : "error";
    return OK;
}
int cuDeviceGetCount(int* count) { *count = 1; return OK; }
int cuDeviceGet(int* device, int index) { *device = index; return index ? 101 : OK; }
int cuDeviceGetName(char* name, int, int) { std::strcpy(name, "Host"); return OK; }
int cuDeviceComputeCapability(int* major, int* minor, int) { *major = 7, *minor = 5; return OK; }
int cuDeviceTotalMem_v2(size_t* bytes, int) { *bytes = size_t(1) << 34; return OK; }
int cuDevicePrimaryCtxRetain(void** made, int) {
    std::unique_lock<std::mutex> held(lock);
    most_retained = std::max(most_retained, ++retained);
    *made = &context;
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int) {
    std::unique_lock<std::mutex> held(lock);
    return retained-- > 0 ? OK : NO_CONTEXT;
}
int cuCtxPushCurrent_v2(void* pushed) { current.push_back(pushed); return OK; }
int cuCtxPopCurrent_v2(void** popped) {
    if (current.empty()) return NO_CONTEXT;
    if (popped) *popped = current.back();
    current.pop_back();
    return OK;
}
int cuCtxSynchronize() {
    NEEDS_CONTEXT
    moved.wait(held, [] {
        for (auto* each : all_streams) if (each->busy || !each->work.empty()) return false;
        return true;
    });
    return OK;
}
int cuMemAlloc_v2(Address* made, size_t size) {
    NEEDS_CONTEXT
    *made = Address(std::malloc(size));
    std::memset(reinterpret_cast<void*>(*made), 0xA5, size);
    device_memory[*made] = size;
    return OK;
}
int cuMemFree_v2(Address at) {
    NEEDS_CONTEXT
    if (!device_memory.erase(at)) return INVALID;
    std::free(reinterpret_cast<void*>(at));
    return OK;
}
int cuMemHostAlloc(void** made, size_t size, unsigned) {
    NEEDS_CONTEXT
    *made = std::malloc(size);
    host_memory[Address(*made)] = size;
    return OK;
}
int cuMemFreeHost(void* at) {
    NEEDS_CONTEXT
    if (!host_memory.erase(Address(at))) return INVALID;
    std::free(at);
    return OK;
}
int cuMemGetInfo_v2(size_t* free, size_t* total) {
    NEEDS_CONTEXT
    *free = *total = size_t(1) << 34;
    for (auto& each : device_memory) *free -= each.second;
    return OK;
}
int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t size, Stream* stream) {
    NEEDS_CONTEXT
    if (!inside(device_memory, to, size) || !inside(host_memory, Address(from), size)) return INVALID;
    add(stream, [=] { std::memcpy(reinterpret_cast<void*>(to), from, size); });
    return OK;
}
int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t size, Stream* stream) {
    NEEDS_CONTEXT
    if (!inside(device_memory, from, size) || !inside(host_memory, Address(to), size)) return INVALID;
    add(stream, [=] { std::memcpy(to, reinterpret_cast<void*>(from), size); });
    return OK;
}
int cuMemsetD8Async(Address at, unsigned char value, size_t size, Stream* stream) {
    NEEDS_CONTEXT
    if (!inside(device_memory, at, size)) return INVALID;
    add(stream, [=] { std::memset(reinterpret_cast<void*>(at), value, size); });
    return OK;
}
int cuModuleLoadData(std::string** made, const void* image) {
    NEEDS_CONTEXT
    *made = new std::string(static_cast<const char*>(image));
    modules++;
    return OK;
}
int cuModuleLoadDataEx(std::string** made, const void* image, unsigned, void*, void*) {
    return cuModuleLoadData(made, image);
}
int cuModuleUnload(std::string* module) {
    NEEDS_CONTEXT
    delete module;
    modules--;
    return OK;
}
int cuModuleGetFunction(Kernel** made, std::string* module, const char* name) {
    NEEDS_CONTEXT
    if (module->find(".entry " + std::string(name) + "(") == std::string::npos) return NOT_FOUND;
    void* run = dlsym(RTLD_DEFAULT, ("run_" + std::string(name)).c_str());
    void* size = dlsym(RTLD_DEFAULT, ("size_" + std::string(name)).c_str());
    if (!run || !size) return NOT_FOUND;
    *made = new Kernel{reinterpret_cast<void (*)(const void*, const unsigned*)>(run),
                       reinterpret_cast<unsigned (*)()>(size)()};
    return OK;
}
int cuFuncSetBlockShape(Kernel*, int, int, int) { return OK; }
int cuLaunchKernel(Kernel* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned, Stream* stream, void**, void** extra) {
    NEEDS_CONTEXT
    const char* packed = nullptr;
    size_t size = 0;
    for (int i = 0; extra[i]; i += 2) {
        if (extra[i] == reinterpret_cast<void*>(1)) packed = static_cast<const char*>(extra[i + 1]);
        if (extra[i] == reinterpret_cast<void*>(2)) size = *static_cast<size_t*>(extra[i + 1]);
    }
    if (!packed || size != kernel->size || bx * by * bz > 1024) return INVALID;
    launches++;
    if (fail_launch && launches >= fail_launch) return FAILED;
    std::vector<char> copy(packed, packed + size);
    add(stream, [=] {
        const unsigned shape[] = {gx, gy, gz, bx, by, bz};
        std::unique_lock<std::mutex> one(kernels);
        kernel->run(copy.data(), shape);
    });
    return OK;
}
int cuStreamCreate(Stream** made, unsigned) {
    NEEDS_CONTEXT
    *made = new Stream;
    all_streams.push_back(*made);
    streams++;
    return OK;
}
int cuStreamDestroy_v2(Stream* stream) {
    NEEDS_CONTEXT
    stream->ended = true;
    moved.notify_all();
    std::erase(all_streams, stream);
    held.unlock();
    stream->thread.join();
    held.lock();
    delete stream;
    streams--;
    return OK;
}
int cuStreamSynchronize(Stream* stream) {
    NEEDS_CONTEXT
    moved.wait(held, [=] { return !stream->busy && stream->work.empty(); });
    return OK;
}
int cuEventCreate(Event** made, unsigned) { NEEDS_CONTEXT *made = new Event; events++; return OK; }
int cuEventDestroy_v2(Event* event) { NEEDS_CONTEXT delete event; events--; return OK; }
int cuEventRecord(Event* event, Stream* stream) {
    NEEDS_CONTEXT
    const long mine = ++event->wanted;
    add(stream, [=] {
        std::unique_lock<std::mutex> held(lock);
        event->reached = mine, event->at = std::chrono::steady_clock::now();
        moved.notify_all();
    });
    return OK;
}
int cuEventSynchronize(Event* event) {
    NEEDS_CONTEXT
    const long mine = event->wanted;
    moved.wait(held, [=] { return event->reached >= mine; });
    return OK;
}
int cuEventElapsedTime_v2(float* ms, Event* from, Event* to) {
    NEEDS_CONTEXT
    *ms = std::chrono::duration<float, std::milli>(to->at - from->at).count();
    return OK;
}
int cuStreamWaitEvent(Stream* stream, Event* event, unsigned) {
    NEEDS_CONTEXT
    const long mine = event->wanted;
    add(stream, [=] {
        std::unique_lock<std::mutex> held(lock);
        moved.wait(held, [=] { return event->reached >= mine; });
    });
    return OK;
}

// For the tests: what is held now, and a kernel that fails.
void host_driver_counts(long* counts) {
    std::unique_lock<std::mutex> held(lock);
    const long found[] = {retained, long(device_memory.size()), long(host_memory.size()), streams,
                          events, modules, long(current.size()), launches, most_retained};
    std::memcpy(counts, found, sizeof found);
}
void host_driver_fail(int launch) {
    std::unique_lock<std::mutex> held(lock);
    fail_launch = launch ? launches + launch : 0;
}
}
