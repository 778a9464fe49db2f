// Frame, alpha and what stands behind -> the composite, in the frame's own planes.
// Mirrors pipeline/blend.py and pipeline/foreground.py: square cells that are person or room alone
// are copied; in the others the person's own colour is estimated from the means around.
#include "planes.cuh"

constexpr int kStrip = 256;  // pixels of a row of cells that one block sums up
constexpr int kBox = 4;      // radius of the box of cells in which the means are taken

struct CellsArguments {
    Plane planes[3];
    const __half* alpha;
    int pitch;               // of the alpha, in elements
    int width, height;
    int side;                // of a cell, in pixels; a power of two, at most kStrip
    int columns, rows;       // of cells
    int across, down;        // how often the second and third plane are halved: 0 or 1
    float sure;              // alpha so close to 0 or 1 is 0 or 1
    float* share;            // mean alpha of each cell
    float* means;            // three planes of the mean of each cell
    int* mixed;              // how many pixels are neither person nor room alone
};

// A block sums up a strip of one row of cells: first down its columns, then across each cell.
extern "C" __global__ void cells(const CellsArguments a) {
    __shared__ float sums[4][kStrip];
    __shared__ int counts[kStrip];
    const int t = threadIdx.x;
    int count = 0;
    float sum = 0;
    for (int v = 0; v < a.side; v++) {
        const int x = min(int(blockIdx.x) * kStrip + t, a.width - 1);
        const int y = min(int(blockIdx.y) * a.side + v, a.height - 1);
        const float alpha = __half2float(a.alpha[size_t(y) * a.pitch + x]);
        sum += alpha;
        count += alpha > a.sure && alpha < 1 - a.sure;
    }
    sums[3][t] = sum, counts[t] = count;
    for (int i = 0; i < 3; i++) {
        const int strip = kStrip >> (i ? a.across : 0), side = a.side >> (i ? a.down : 0);
        if (t >= strip) continue;
        const Plane& plane = a.planes[i];
        const int x = min(int(blockIdx.x) * strip + t, plane.width - 1);
        int whole = 0;
        for (int v = 0; v < side; v++)
            whole += byte_at(plane, x, min(int(blockIdx.y) * side + v, plane.height - 1));
        sums[i][t] = float(whole);
    }
    __syncthreads();
    const int column = blockIdx.x * (kStrip / a.side) + t;
    if (t >= kStrip / a.side || column >= a.columns) return;
    const size_t cell = size_t(blockIdx.y) * a.columns + column, size = size_t(a.columns) * a.rows;
    float share = 0;
    int mixed = 0;
    for (int u = 0; u < a.side; u++) share += sums[3][t * a.side + u], mixed += counts[t * a.side + u];
    a.share[cell] = share / (a.side * a.side);
    if (mixed) atomicAdd(a.mixed, mixed);
    for (int i = 0; i < 3; i++) {
        const int across = a.side >> (i ? a.across : 0), down = a.side >> (i ? a.down : 0);
        float mean = 0;
        for (int u = 0; u < across; u++) mean += sums[i][t * across + u];
        a.means[size * i + cell] = mean / (across * down);
    }
}

struct EdgesArguments {
    const float* share;
    const float* means;
    float2* colours;   // three planes: the mean of person and of room around each mixed cell
    int columns, rows;
    float sure;        // of a cell
};

extern "C" __global__ void edges(const EdgesArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.columns || y >= a.rows) return;
    const size_t cell = size_t(y) * a.columns + x, size = size_t(a.columns) * a.rows;
    if (a.share[cell] <= a.sure || a.share[cell] >= 1 - a.sure) return;
    float share = 0, person[3] = {0, 0, 0}, room[3] = {0, 0, 0};
    for (int v = y - kBox; v <= y + kBox; v++) {
        for (int u = x - kBox; u <= x + kBox; u++) {
            const size_t at = size_t(reflected(v, a.rows)) * a.columns + reflected(u, a.columns);
            const float alpha = a.share[at];
            share += alpha;
#pragma unroll
            for (int i = 0; i < 3; i++) {
                const float mean = a.means[size * i + at];
                person[i] += mean * alpha, room[i] += mean * (1 - alpha);
            }
        }
    }
    const float part = 1.0f / ((2 * kBox + 1) * (2 * kBox + 1));
#pragma unroll
    for (int i = 0; i < 3; i++)
        a.colours[size * i + cell] = make_float2(person[i] * part / (share * part + 1e-4f),
                                                 room[i] * part / (1 - share * part + 1e-4f));
}

struct BlendArguments {
    Plane planes[3];
    Plane behind[3];         // without data the small pictures are enlarged instead
    Plane target[3];
    const float* small;      // three pictures of the blurred room, in 64ths, cut off
    int small_width, small_height;
    const __half* alpha;
    int pitch;
    int width, height;
    int side_shift, columns, rows;
    int across, down;
    const float* share;
    const float2* colours;
    const int* mixed;
    int most_mixed;          // with more there is no edge to speak of: plainly blended
    int cut;                 // the person alone, not multiplied by alpha
    float sure, sure_cell;
};

// Some pixels of a row, as one load where they lie together.
template <int N>
__device__ inline void load(const Plane& plane, int x, int y, int* values) {
    const unsigned char* at = plane.data + size_t(y) * plane.pitch + x * plane.step;
    if (N == 4 && plane.step == 1 && x + 4 <= plane.width && (size_t(at) & 3) == 0) {
        const unsigned word = *reinterpret_cast<const unsigned*>(at);
#pragma unroll
        for (int i = 0; i < N; i++) values[i] = word >> 8 * i & 255;
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++) values[i] = at[min(i, plane.width - 1 - x) * plane.step];
}

template <int N>
__device__ inline void store(const Plane& plane, int x, int y, const int* values) {
    unsigned char* at =
        const_cast<unsigned char*>(plane.data) + size_t(y) * plane.pitch + x * plane.step;
    if (N == 4 && plane.step == 1 && x + 4 <= plane.width && (size_t(at) & 3) == 0) {
        unsigned word = 0;
#pragma unroll
        for (int i = 0; i < N; i++) word |= unsigned(values[i]) << 8 * i;
        *reinterpret_cast<unsigned*>(at) = word;
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        if (x + i < plane.width) at[i * plane.step] = static_cast<unsigned char>(values[i]);
}

__device__ inline float enlarged(const BlendArguments& a, int i, int x, int y) {
    const Between across(a.small_width, a.planes[i].width, x);
    const Between down(a.small_height, a.planes[i].height, y);
    const float* upper = a.small + size_t(a.small_width) * (a.small_height * i + down.first);
    const float* lower = a.small + size_t(a.small_width) * (a.small_height * i + down.second);
    const float p = upper[across.first], q = upper[across.second];
    const float r = lower[across.first], s = lower[across.second];
    const float above = p + across.share * (q - p), below = r + across.share * (s - r);
    return rintf(rintf(above + down.share * (below - above)) * (1 / 64.0f));
}

__device__ inline int mix(const BlendArguments& a, int i, int x, int y, bool edge, int pixel,
                          float behind, float weight) {
    const int row = y >> (a.side_shift - (i ? a.down : 0));
    const int column = x >> (a.side_shift - (i ? a.across : 0));
    const size_t cell = size_t(row) * a.columns + column;
    const float share = a.share[cell];
    if (share <= a.sure_cell || share >= 1 - a.sure_cell) return share > 0.5f ? pixel : int(behind);
    float colour = pixel;
    if (edge) {
        const float2 mean = a.colours[size_t(a.columns) * a.rows * i + cell];
        colour = mean.x + weight * (pixel - mean.y - weight * (mean.x - mean.y));
        colour = min(max(colour, 0.0f), 255.0f);
    }
    const float mixed = a.cut ? (weight < a.sure ? behind : colour)
                              : behind + weight * (colour - behind);
    return int(rintf(mixed));
}

// N pixels of one plane in a row; `alpha` is that of their 4x2 pixels of the frame.
template <int N>
__device__ inline void blend_row(const BlendArguments& a, int i, int x, int y, bool edge,
                                 const float* weights) {
    if (x >= a.planes[i].width || y >= a.planes[i].height) return;
    int pixels[N], behind[N];
    load<N>(a.planes[i], x, y, pixels);
    if (a.behind[0].data) load<N>(a.behind[i], x, y, behind);
#pragma unroll
    for (int k = 0; k < N; k++) {
        const int column = min(x + k, a.planes[i].width - 1);
        const float room = a.behind[0].data ? float(behind[k]) : enlarged(a, i, column, y);
        pixels[k] = mix(a, i, column, y, edge, pixels[k], room, weights[k]);
    }
    store<N>(a.target[i], x, y, pixels);
}

// Each thread makes 4x2 pixels of the frame, all planes, so that the alpha is read once.
extern "C" __global__ void blend(const BlendArguments a) {
    const int x = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    const int y = 2 * (blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= a.width || y >= a.height) return;
    const bool edge = *a.mixed <= a.most_mixed;
    float alpha[2][4];
#pragma unroll
    for (int v = 0; v < 2; v++)
#pragma unroll
        for (int u = 0; u < 4; u++)
            alpha[v][u] = __half2float(
                a.alpha[size_t(min(y + v, a.height - 1)) * a.pitch + min(x + u, a.width - 1)]);
    blend_row<4>(a, 0, x, y, edge, alpha[0]);
    blend_row<4>(a, 0, x, y + 1, edge, alpha[1]);
    if (!a.across) {
#pragma unroll 1
        for (int i = 1; i < 3; i++) {
            blend_row<4>(a, i, x, y, edge, alpha[0]);
            blend_row<4>(a, i, x, y + 1, edge, alpha[1]);
        }
        return;
    }
    float pairs[2][2];
#pragma unroll
    for (int v = 0; v < 2; v++)
#pragma unroll
        for (int u = 0; u < 2; u++) pairs[v][u] = 0.5f * (alpha[v][2 * u] + alpha[v][2 * u + 1]);
    if (a.down) {
        pairs[0][0] = 0.5f * (pairs[0][0] + pairs[1][0]);
        pairs[0][1] = 0.5f * (pairs[0][1] + pairs[1][1]);
    }
#pragma unroll 1
    for (int i = 1; i < 3; i++) {
        blend_row<2>(a, i, x / 2, a.down ? y / 2 : y, edge, pairs[0]);
        if (!a.down) blend_row<2>(a, i, x / 2, y + 1, edge, pairs[1]);
    }
}
