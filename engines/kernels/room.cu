// The room out of focus, of room pixels only, in a picture of about a hundred rows.
// Mirrors BlurBackground in pipeline/backgrounds.py; composite.cu enlarges it.
#include "planes.cuh"

struct RoomArguments {
    const __half* alpha;      // of the frame
    int alpha_pitch, frame_width, frame_height, halvings;
    float* small_alpha;       // (H, W)
    float* room;              // (H, W): 1 where nobody is near
    float* pictures;          // three of (H, W), 0..255; at the end in 64ths, cut off
    float4* sums;             // (H, W): means along the rows, of the pictures and of the room
    float* means;             // of the three pictures, counting the room alone
    int width, height;
    int near;                 // radius within which nothing is taken for room
    float mixed;              // alpha from which on a pixel tells nothing of the room
    int reach;                // radius of the boxes
    int fill;                 // whether the boxes count the room alone, and fill what is not
    int last;                 // of the fills, or of the blurs
};

extern "C" __global__ void shrink_alpha(const RoomArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    const Alpha alpha{a.alpha, a.alpha_pitch, a.frame_width, a.frame_height};
    a.small_alpha[y * a.width + x] = scaled(alpha, a.halvings, a.width, a.height, x, y);
}

extern "C" __global__ void keep_away(const RoomArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    float near = 0;
    for (int v = max(y - a.near, 0); v <= min(y + a.near, a.height - 1); v++)
        for (int u = max(x - a.near, 0); u <= min(x + a.near, a.width - 1); u++)
            near = max(near, a.small_alpha[v * a.width + u]);
    a.room[y * a.width + x] = min(max(1 - near / a.mixed, 0.0f), 1.0f);
}

// In one block: there are some ten thousand pixels.
extern "C" __global__ void mean(const RoomArguments a) {
    constexpr int kThreads = 256;
    __shared__ float4 sums[kThreads];
    const int t = threadIdx.x, size = a.width * a.height;
    float4 sum = make_float4(0, 0, 0, 0);
    for (int i = t; i < size; i += kThreads) {
        const float weight = a.room[i] + 1e-4f;
        sum.x += weight * a.pictures[i], sum.y += weight * a.pictures[size + i];
        sum.z += weight * a.pictures[2 * size + i], sum.w += weight;
    }
    sums[t] = sum;
    for (int half = kThreads / 2; half; half /= 2) {
        __syncthreads();
        if (t >= half) continue;
        sums[t].x += sums[t + half].x, sums[t].y += sums[t + half].y;
        sums[t].z += sums[t + half].z, sums[t].w += sums[t + half].w;
    }
    if (t) return;
    a.means[0] = sums[0].x / sums[0].w;
    a.means[1] = sums[0].y / sums[0].w;
    a.means[2] = sums[0].z / sums[0].w;
}

extern "C" __global__ void along_rows(const RoomArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    const int size = a.width * a.height;
    float4 sum = make_float4(0, 0, 0, 0);
    for (int u = x - a.reach; u <= x + a.reach; u++) {
        const int at = y * a.width + reflected(u, a.width);
        const float room = a.fill ? a.room[at] : 1;
        sum.x += room * a.pictures[at], sum.y += room * a.pictures[size + at];
        sum.z += room * a.pictures[2 * size + at], sum.w += room;
    }
    const float part = 1.0f / (2 * a.reach + 1);
    a.sums[y * a.width + x] = make_float4(sum.x * part, sum.y * part, sum.z * part, sum.w * part);
}

extern "C" __global__ void along_columns(const RoomArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    const int size = a.width * a.height, pixel = y * a.width + x;
    float sum[4] = {0, 0, 0, 0};
    for (int v = y - a.reach; v <= y + a.reach; v++) {
        const float4 each = a.sums[reflected(v, a.height) * a.width + x];
        sum[0] += each.x, sum[1] += each.y, sum[2] += each.z, sum[3] += each.w;
    }
    const float part = 1.0f / (2 * a.reach + 1), known = sum[3] * part;
    const float room = a.fill ? a.room[pixel] : 1;
    const float grown = max(room, min(known * 50, 1.0f));
#pragma unroll
    for (int i = 0; i < 3; i++) {
        float* picture = a.pictures + size * i + pixel;
        float value = sum[i] * part;
        if (a.fill) {
            const float behind = value / (known + 1e-4f);
            value = behind + room * (*picture - behind);
            if (a.last) value = a.means[i] + grown * (value - a.means[i]);
        } else if (a.last) {
            value = truncf(value * 64);
        }
        *picture = value;
    }
    if (a.fill) a.room[pixel] = grown;
}
