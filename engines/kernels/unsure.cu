// Where the network is unsure, decide by colour: by samples far around, then by a linear function of the
// colours near by. Mirrors decide_by_colour of pipeline/unsure.py.
#include "planes.cuh"

struct UnsureArguments {
    const float* mask;             // (H, W)
    float* decided;                // (H, W)
    const unsigned char* colours;  // (3, H, W): Y, U, V or B, G, R
    float4* half;                  // of half the size, rounded up: the colours and the probability
    float* change;                 // of that size: by how much what is far around changes the mask
    int width, height;             // of the mask
    float begins, rise;            // from where on a probability is unsure, and how soon entirely
    float likeness;                // of two colours: exp(likeness * squared distance)
    float few, any;                // samples that half say what a side is; what of it is any colour
    int radius;                    // of the box near by
    float little, scant;           // variance of its colours, and what of both must be in it
    int count;                     // of samples
    signed char samples[64][2];    // rows and columns from a pixel of half the size
};

__device__ inline float unsure(const UnsureArguments& a, float mask) {
    return min(max((min(mask, 1 - mask) - a.begins) * a.rise, 0.0f), 1.0f);
}

extern "C" __global__ void halve(const UnsureArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    const int width = (a.width + 1) / 2, height = (a.height + 1) / 2;
    if (x >= width || y >= height) return;
    const int right = min(2 * x + 1, a.width - 1), lower = min(2 * y + 1, a.height - 1);
    const int corners[4] = {2 * y * a.width + 2 * x, 2 * y * a.width + right,
                            lower * a.width + 2 * x, lower * a.width + right};
    float mask = 0;
    int colours[3] = {0, 0, 0};
#pragma unroll
    for (int k = 0; k < 4; k++) {
        mask += a.mask[corners[k]];
#pragma unroll
        for (int i = 0; i < 3; i++) colours[i] += a.colours[i * a.width * a.height + corners[k]];
    }
    a.half[y * width + x] = make_float4(Bytes::quarter(colours[0]), Bytes::quarter(colours[1]),
                                        Bytes::quarter(colours[2]), mask * 0.25f);
}

extern "C" __global__ void far(const UnsureArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    const int width = (a.width + 1) / 2, height = (a.height + 1) / 2;
    if (x >= width || y >= height) return;
    const float4 own = a.half[y * width + x];
    float change = 0;
    if (unsure(a, own.w) > 0) {
        float person = 0, room = 0, alike_person = 0, alike_room = 0;
        for (int i = 0; i < a.count; i++) {
            const int v = y + a.samples[i][0], u = x + a.samples[i][1];
            if (v < 0 || v >= height || u < 0 || u >= width) continue;
            const float4 other = a.half[v * width + u];
            const float p = other.x - own.x, q = other.y - own.y, r = other.z - own.z;
            const float alike = expf(a.likeness * (p * p + q * q + r * r));
            const float sure = 1 - unsure(a, other.w);
            if (other.w > 0.5f) person += sure, alike_person += alike * sure;
            else room += sure, alike_room += alike * sure;
        }
        // Bayes' rule; what the network thinks is the prior.
        const float yes = own.w * (alike_person + a.any * a.few) / (person + a.few);
        const float no = (1 - own.w) * (alike_room + a.any * a.few) / (room + a.few);
        const float known = person / (person + a.few) * (room / (room + a.few));
        change = known * (yes / (yes + no) - own.w);
    }
    a.change[y * width + x] = change;
}

// The change at a pixel of the mask, between those around it.
__device__ inline float change_at(const UnsureArguments& a, int x, int y) {
    const int width = (a.width + 1) / 2, height = (a.height + 1) / 2;
    const Between across(width, 2 * width, x), down(height, 2 * height, y);
    const float* upper = a.change + down.first * width;
    const float* lower = a.change + down.second * width;
    const float p = upper[across.first], q = upper[across.second];
    const float r = lower[across.first], s = lower[across.second];
    const float above = p + across.share * (q - p), below = r + across.share * (s - r);
    return above + down.share * (below - above);
}

// Adds that change, and the linear function of the colours near by.
extern "C" __global__ void near(const UnsureArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    const int pixel = y * a.width + x, size = a.width * a.height;
    const float mask = a.mask[pixel], doubt = unsure(a, mask);
    if (!(doubt > 0)) {
        a.decided[pixel] = mask;
        return;
    }
    const float changed = mask + doubt * change_at(a, x, y);
    const int width = (a.width + 1) / 2, height = (a.height + 1) / 2;
    // Sums over the box, of colours as they differ from the one in its middle, which rounds less: of
    // what is sure, of the person, of colours, of the person's, of their products. They begin with a
    // trace of something black, as the CPU's divisor does.
    const int side = 2 * a.radius + 1;
    const float trace = 1e-4f * (side * side);
    const float4 cell = a.half[(y / 2) * width + x / 2];
    const float middle[3] = {cell.x, cell.y, cell.z};
    float share = 0, person = 0, mean[3], with[3] = {0, 0, 0};
    float spread[3][3];  // the lower half; it is symmetric
#pragma unroll
    for (int i = 0; i < 3; i++) {
        mean[i] = -trace * middle[i];
#pragma unroll
        for (int j = 0; j <= i; j++) spread[i][j] = trace * middle[i] * middle[j];
    }
    for (int v = y / 2 - a.radius; v <= y / 2 + a.radius; v++) {
        for (int u = x / 2 - a.radius; u <= x / 2 + a.radius; u++) {
            const float4 each = a.half[reflected(v, height) * width + reflected(u, width)];
            const float colour[3] = {each.x - cell.x, each.y - cell.y, each.z - cell.z};
            const float sure = 1 - unsure(a, each.w), sure_person = each.w > 0.5f ? sure : 0.0f;
            share += sure, person += sure_person;
#pragma unroll
            for (int i = 0; i < 3; i++) {
                mean[i] += sure * colour[i], with[i] += sure_person * colour[i];
#pragma unroll
                for (int j = 0; j <= i; j++) spread[i][j] += sure * colour[i] * colour[j];
            }
        }
    }
    const float whole = 1 / (share + trace);
    share /= side * side, person *= whole;
    float own[3];
#pragma unroll
    for (int i = 0; i < 3; i++) {
        mean[i] *= whole;
        with[i] = with[i] * whole - mean[i] * person;
        own[i] = a.colours[i * size + pixel] - middle[i] - mean[i];
#pragma unroll
        for (int j = 0; j <= i; j++) spread[i][j] = spread[i][j] * whole - mean[i] * mean[j];
        spread[i][i] += a.little;
    }
    // Gauss's elimination: of each colour what those before it do not tell.
    float alpha = person, explained = 0;
#pragma unroll
    for (int i = 0; i < 3; i++) {
#pragma unroll
        for (int j = i + 1; j < 3; j++) {
            const float told = spread[j][i] / spread[i][i];
            with[j] -= told * with[i], own[j] -= told * own[i];
#pragma unroll
            for (int k = i + 1; k <= j; k++) spread[j][k] -= told * spread[k][i];
        }
        alpha += with[i] * own[i] / spread[i][i];
        explained += with[i] * with[i] / spread[i][i];
    }
    alpha = min(max(alpha, 0.0f), 1.0f);
    const float told = min(max(explained / (person * (1 - person) + 1e-6f), 0.0f), 1.0f);
    const float least = share * min(person, 1 - person), weight = told * least / (least + a.scant);
    a.decided[pixel] = min(max(changed + doubt * weight * (alpha - changed), 0.0f), 1.0f);
}
