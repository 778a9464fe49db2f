// A frame -> the network's input: resize, colour matrix, scale, layout and type in one pass.
// Mirrors pipeline/prepare.py; guide and colours are what pipeline/matte.py takes from Frame.shrunk_luma
// and Frame.shrunk.
#include "planes.cuh"

struct PrepareArguments {
    Plane planes[3];       // Y, U, V or B, G, R
    Plane luma;            // of the guide; without data it is computed from B, G, R
    void* tensor;          // (3, H, W) or (H, W, 3), float or half; null: none wanted
    float* guide;          // (H, W) luma 0..1; null: none wanted
    unsigned char* colours;  // (3, H, W), the planes; with the guide
    int width, height;     // of both
    int half, nhwc;        // how the tensor is stored
    int halvings[4];       // of the planes and the luma, exact ones, before the last step
    float matrix[12];      // 3x4, from the planes to the tensor's channels, 0..255
    float scale[3], shift[3];
};

extern "C" __global__ void prepare(const PrepareArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    const size_t pixel = size_t(y) * a.width + x, size = size_t(a.width) * a.height;
    float values[3] = {0, 0, 0};
#pragma unroll 1
    for (int i = 0; i < 3; i++) {
        const float value = scaled(Channel(a.planes[i]), a.halvings[i], a.width, a.height, x, y);
        // No array index that is known only when it runs: it would live in slow memory.
        values[0] = i == 0 ? value : values[0];
        values[1] = i == 1 ? value : values[1];
        values[2] = i == 2 ? value : values[2];
    }
    if (a.guide) {
        const bool same = a.luma.data && a.luma.data == a.planes[0].data;
        const float luma = same ? values[0]
                           : a.luma.data
                               ? scaled(Channel(a.luma), a.halvings[3], a.width, a.height, x, y)
                               : scaled(Grey(a.planes), a.halvings[3], a.width, a.height, x, y);
        a.guide[pixel] = luma * (1 / 255.0f);
#pragma unroll
        for (int i = 0; i < 3; i++)
            a.colours[size * i + pixel] = static_cast<unsigned char>(values[i]);
    }
    if (!a.tensor) return;
    for (int i = 0; i < 3; i++) {
        const float* row = a.matrix + 4 * i;
        float value = row[0] * values[0] + row[1] * values[1] + row[2] * values[2] + row[3];
        value = min(max(value, 0.0f), 255.0f) * a.scale[i] + a.shift[i];
        const size_t at = a.nhwc ? 3 * pixel + i : size * i + pixel;
        if (a.half) static_cast<__half*>(a.tensor)[at] = __float2half_rn(value);
        else static_cast<float*>(a.tensor)[at] = value;
    }
}

// One step of `shrink` to a plane of its own, for pictures that do not halve evenly.
struct ShrinkArguments {
    Plane planes[3];
    unsigned char* target;
    int width, height;   // of the target, rows without padding
    int halvings, grey;  // grey: the luma of B, G, R
};

extern "C" __global__ void shrink(const ShrinkArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    const float value = a.grey ? scaled(Grey(a.planes), a.halvings, a.width, a.height, x, y)
                               : scaled(Channel(a.planes[0]), a.halvings, a.width, a.height, x, y);
    a.target[size_t(y) * a.width + x] = static_cast<unsigned char>(value);
}
