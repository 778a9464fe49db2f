// The network's output -> alpha at frame size. Mirrors pipeline/matte.py, drop_unsure_parts of
// pipeline/unsure.py and pipeline/steadying.py: once unsure.cu has decided by colour, unsure parts are
// left out, the mask is steadied, and drawn to the frame's edges.
#include "planes.cuh"

// What is wrong with an output of a network, for engines/contract.py's check_mask.
enum Fault { NOT_A_NUMBER = 1, NO_PROBABILITY = 2 };

struct ReadArguments {
    const void* output;   // of the network, float or half
    int offset, step;     // in elements: to the person's channel, and from pixel to pixel
    int half;
    int width, height;
    float tolerance;
    float* mask;          // (H, W)
    int* faults;
};

extern "C" __global__ void read(const ReadArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    const int pixel = y * a.width + x;
    const size_t at = size_t(a.offset) + size_t(pixel) * a.step;
    const float value = a.half ? __half2float(static_cast<const __half*>(a.output)[at])
                               : static_cast<const float*>(a.output)[at];
    if (!(fabsf(value) < 1e30f)) atomicOr(a.faults, NOT_A_NUMBER);
    else if (value < -a.tolerance || value > 1 + a.tolerance) atomicOr(a.faults, NO_PROBABILITY);
    a.mask[pixel] = value;
}

struct PartsArguments {
    const float* mask;    // (H, W), as the network gave it
    float* decided;       // (H, W), by colour
    int width, height;
    float low, sure;
    unsigned* open;       // bits, rows of whole words: decided above `low`
    unsigned* reached;    // bits: joined to a pixel of which the network is sure
};

// The bits of `set`, spread to both sides as far as `open` has bits (Kogge and Stone, 1973).
__device__ inline unsigned spread(unsigned set, unsigned open) {
    unsigned left = open, right = open;
    for (int shift = 1; shift < 32; shift *= 2) {
        set |= (left & set << shift) | (right & set >> shift);
        left &= left << shift, right &= right >> shift;
    }
    return set;
}

// In one block, for a flood has to know when it is over; the mask is small.
extern "C" __global__ void __launch_bounds__(1024) parts(const PartsArguments a) {
    const int words = (a.width + 31) / 32, count = words * a.height;
    int sure = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const int y = i / words, first = i % words * 32, last = min(first + 32, a.width);
        unsigned open = 0, reached = 0;
        for (int x = first; x < last; x++) {
            open |= unsigned(a.decided[y * a.width + x] > a.low) << (x - first);
            reached |= unsigned(a.mask[y * a.width + x] >= a.sure) << (x - first);
        }
        sure |= reached != 0;
        a.open[i] = open, a.reached[i] = reached & open;
    }
    if (!__syncthreads_or(sure)) return;
    volatile unsigned* reached = a.reached;  // others write to it; what is set once stays set
    int changed;
    do {
        changed = 0;
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            const int y = i / words, word = i % words;
            unsigned near = 0;
            for (int v = max(y - 1, 0); v <= min(y + 1, a.height - 1); v++) {
                const unsigned here = reached[v * words + word];
                near |= here | here << 1 | here >> 1;
                if (word > 0) near |= reached[v * words + word - 1] >> 31;
                if (word < words - 1) near |= reached[v * words + word + 1] << 31;
            }
            const unsigned open = a.open[i], more = spread(near & open, open);
            if (more & ~reached[i]) reached[i] = more | reached[i], changed = 1;
        }
    } while (__syncthreads_or(changed));
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const int y = i / words, first = i % words * 32;
        for (unsigned lost = a.open[i] & ~reached[i]; lost; lost &= lost - 1) {
            int bit = 0;
            while (!(lost >> bit & 1)) bit++;
            a.decided[y * a.width + first + bit] = 0;
        }
    }
}

struct SteadyArguments {
    const float* mask;          // decided, without unsure parts
    const float* guide;         // luma 0..1
    const float* mask_before;   // as it was steadied; null: the picture stands alone
    const float* guide_before;
    float* steady;
    int width, height;
    float least;                // weight of the new mask where all is still
    float noise, gain;
};

extern "C" __global__ void steady(const SteadyArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    const int pixel = y * a.width + x;
    if (!a.mask_before) {
        a.steady[pixel] = a.mask[pixel];
        return;
    }
    float disagreement = 0, change = 0;
    for (int v = y - 2; v <= y + 2; v++) {
        for (int u = x - 2; u <= x + 2; u++) {
            const int at = reflected(v, a.height) * a.width + reflected(u, a.width);
            disagreement += fabsf(a.mask[at] - a.mask_before[at]);
            change += fabsf(a.guide[at] - a.guide_before[at]);
        }
    }
    const float motion = max(change / 25 - a.noise, 0.0f);
    float weight = disagreement / 25 * (1 + a.gain * motion);
    weight = min(max(weight, a.least), 1.0f);
    a.steady[pixel] = a.mask_before[pixel] + weight * (a.mask[pixel] - a.mask_before[pixel]);
}

// The fast guided filter in two steps: how the mask follows the luma around each pixel, and the mean
// of that in the same box.
struct GuidedArguments {
    const float* mask;
    const float* guide;
    float2* fit;      // slope and offset around each pixel
    float2* smooth;   // their means, the slope for a luma of 0..255
    int width, height, radius;
    float low, gain;  // (mask - low) * gain is what is followed
    float epsilon;
};

extern "C" __global__ void fit(const GuidedArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    float guides = 0, masks = 0, products = 0, squares = 0;
    for (int v = y - a.radius; v <= y + a.radius; v++) {
        for (int u = x - a.radius; u <= x + a.radius; u++) {
            const int at = reflected(v, a.height) * a.width + reflected(u, a.width);
            const float guide = a.guide[at], mask = (a.mask[at] - a.low) * a.gain;
            guides += guide, masks += mask;
            products += guide * mask, squares += guide * guide;
        }
    }
    const int side = 2 * a.radius + 1;
    const float share = 1.0f / (side * side), guide = guides * share, mask = masks * share;
    const float covariance = products * share - guide * mask;
    const float variance = squares * share - guide * guide;
    const float slope = covariance / (variance + a.epsilon);
    a.fit[y * a.width + x] = make_float2(slope, mask - slope * guide);
}

extern "C" __global__ void smooth(const GuidedArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    float slope = 0, offset = 0;
    for (int v = y - a.radius; v <= y + a.radius; v++) {
        for (int u = x - a.radius; u <= x + a.radius; u++) {
            const float2 each = a.fit[reflected(v, a.height) * a.width + reflected(u, a.width)];
            slope += each.x, offset += each.y;
        }
    }
    const int side = 2 * a.radius + 1;
    const float share = 1.0f / (side * side);
    a.smooth[y * a.width + x] = make_float2(slope * share * (1 / 255.0f), offset * share);
}

struct DrawArguments {
    Plane luma;             // of the frame; `grey`: the first of B, G, R
    const float2* smooth;
    __half* alpha;          // (H, W), `pitch` elements from row to row
    unsigned char* bytes;   // the same in 0..255, rows without padding; null: not wanted
    int width, height;      // of `smooth`
    int pitch, grey;
};

extern "C" __global__ void draw(const DrawArguments a) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.luma.width || y >= a.luma.height) return;
    const unsigned char* pixel = a.luma.data + size_t(y) * a.luma.pitch + x * a.luma.step;
    const int luma = a.grey ? grey_of(pixel[0], pixel[1], pixel[2]) : pixel[0];
    const Between across(a.width, a.luma.width, x), down(a.height, a.luma.height, y);
    const float2* upper = a.smooth + down.first * a.width;
    const float2* lower = a.smooth + down.second * a.width;
    const float2 p = upper[across.first], q = upper[across.second];
    const float2 r = lower[across.first], s = lower[across.second];
    const float u = across.share, v = down.share;
    const float slope = (p.x + u * (q.x - p.x)) * (1 - v) + (r.x + u * (s.x - r.x)) * v;
    const float offset = (p.y + u * (q.y - p.y)) * (1 - v) + (r.y + u * (s.y - r.y)) * v;
    const float alpha = min(max(slope * luma + offset, 0.0f), 1.0f);
    a.alpha[size_t(y) * a.pitch + x] = __float2half_rn(alpha);
    if (a.bytes)
        a.bytes[size_t(y) * a.luma.width + x] = static_cast<unsigned char>(rintf(alpha * 255));
}
