// Planes of pixels, and how one is made smaller: the same steps as pipeline/shrink.py, with the same
// rounding, but worked out for one pixel at a time so that the frame is read once and nothing kept.
#pragma once

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

// One channel: I420's three planes, NV12's chroma (step 2) and BGR's bytes (step 3) alike.
struct Plane {
    const unsigned char* data;
    int pitch, step, width, height;
};

__device__ inline int clamp_int(int value, int low, int high) { return min(max(value, low), high); }

__device__ inline int byte_at(const Plane& plane, int x, int y) {
    return plane.data[size_t(y) * plane.pitch + x * plane.step];
}

// OpenCV's fixed-point BGR2GRAY.
__device__ inline int grey_of(int blue, int green, int red) {
    return (blue * 3735 + green * 19235 + red * 9798 + 16384) >> 15;
}

// Sources that can be made smaller. Bytes are rounded after every step, as OpenCV rounds them.

struct Bytes {
    using Value = int;
    __device__ static int quarter(int sum) { return (sum + 2) >> 2; }
    __device__ static float round(float value, bool by_two) {
        return by_two ? floorf(value + 0.5f) : rintf(value);
    }
    // OpenCV's sums of whole numbers, which cut off what is small.
    __device__ static float between(const float* corners, float across, float down) {
        const int right = int(rintf(across * 2048)), left = int(rintf((1 - across) * 2048));
        const int low = int(rintf(down * 2048)), high = int(rintf((1 - down) * 2048));
        const int upper = (int(corners[0]) * left + int(corners[1]) * right) >> 4;
        const int lower = (int(corners[2]) * left + int(corners[3]) * right) >> 4;
        return float((((high * upper) >> 16) + ((low * lower) >> 16) + 2) >> 2);
    }
};

template <class S>
__device__ inline typename S::Value two(const S& source, int x, int y) {
    return S::quarter(source.at(x, y) + source.at(x + 1, y) + source.at(x, y + 1) +
                      source.at(x + 1, y + 1));
}

template <class S>
__device__ inline typename S::Value four_of(const S& source, int x, int y) {
    return S::quarter(two(source, x, y) + two(source, x + 2, y) + two(source, x, y + 2) +
                      two(source, x + 2, y + 2));
}

struct Channel : Bytes {
    const Plane& plane;
    __device__ explicit Channel(const Plane& plane) : plane(plane) {}
    __device__ int width() const { return plane.width; }
    __device__ int height() const { return plane.height; }
    __device__ int at(int x, int y) const { return byte_at(plane, x, y); }

    // Four rows of four bytes, halved twice; four bytes are one load where they lie together.
    __device__ int four(int x, int y) const {
        const unsigned char* at = plane.data + size_t(y) * plane.pitch + x * plane.step;
        if (plane.step == 1 && ((size_t(at) | plane.pitch) & 3) == 0) {
            const unsigned upper = pairs(at, at + plane.pitch);
            const unsigned lower = pairs(at + 2 * size_t(plane.pitch), at + 3 * size_t(plane.pitch));
            const unsigned sum = upper + lower;
            return quarter((sum & 0xffff) + (sum >> 16));
        }
        return four_of(*this, x, y);
    }

    // Two rows of four bytes as the two rounded means of 2x2, in the halves of a word.
    __device__ static unsigned pairs(const unsigned char* upper, const unsigned char* lower) {
        const unsigned a = *reinterpret_cast<const unsigned*>(upper);
        const unsigned b = *reinterpret_cast<const unsigned*>(lower);
        const unsigned mask = 0x00ff00ffu;
        const unsigned sum = (a & mask) + (a >> 8 & mask) + (b & mask) + (b >> 8 & mask);
        return (sum + 0x00020002u) >> 2 & mask;
    }
};

struct Grey : Bytes {
    const Plane* planes;  // blue, green, red
    __device__ explicit Grey(const Plane* planes) : planes(planes) {}
    __device__ int width() const { return planes[0].width; }
    __device__ int height() const { return planes[0].height; }
    __device__ int at(int x, int y) const {
        return grey_of(byte_at(planes[0], x, y), byte_at(planes[1], x, y), byte_at(planes[2], x, y));
    }
    __device__ int four(int x, int y) const { return four_of(*this, x, y); }
};

struct Alpha {
    using Value = float;
    const __half* data;
    int pitch, width_, height_;  // pitch in elements
    __device__ int width() const { return width_; }
    __device__ int height() const { return height_; }
    __device__ float at(int x, int y) const { return __half2float(data[size_t(y) * pitch + x]); }
    __device__ float four(int x, int y) const { return four_of(*this, x, y); }
    __device__ static float quarter(float sum) { return sum * 0.25f; }
    __device__ static float round(float value, bool) { return value; }
    __device__ static float between(const float* corners, float across, float down) {
        const float upper = corners[0] + across * (corners[1] - corners[0]);
        const float lower = corners[2] + across * (corners[3] - corners[2]);
        return upper + down * (lower - upper);
    }
};

// The mean of a square of 2^halvings pixels, halved so many times: squares of 4x4 in Z-order, whose
// means are summed up by fours.
template <class S>
__device__ inline typename S::Value halved(const S& source, int x, int y, int halvings) {
    if (halvings == 0) return source.at(x, y);
    if (halvings == 1) return two(source, 2 * x, 2 * y);
    const int count = 1 << 2 * (halvings - 2);
    typename S::Value mean = 0, sums[3] = {0, 0, 0};
#pragma unroll 1
    for (int i = 0; i < count; i++) {
        const int u = (i & 1) | (i >> 1 & 2) | (i >> 2 & 4), v = (i >> 1 & 1) | (i >> 2 & 2) | (i >> 3 & 4);
        mean = source.four(((x << (halvings - 2)) + u) << 2, ((y << (halvings - 2)) + v) << 2);
        if (count == 1) break;
        sums[0] += mean;
        if ((i & 3) != 3) continue;
        sums[1] += mean = S::quarter(sums[0]), sums[0] = 0;
        if ((i & 15) != 15) continue;
        sums[2] += mean = S::quarter(sums[1]), sums[1] = 0;
        if ((i & 63) == 63) mean = S::quarter(sums[2]);
    }
    return mean;
}

// What one pixel of an axis takes from a longer one: the area that it covers, a part of the first
// pixel, a part of the last, and those between. One division each, as exact as OpenCV's doubles.
struct Area {
    int first, last;
    float head, tail, whole;
    __device__ Area(int size, int to, int index) {
        const int begin = index * size, end = begin + size;
        first = begin / to, last = end / to;
        const int before = to - begin % to, after = end % to;
        whole = __fdiv_rn(float(to), float(size));
        head = __fdiv_rn(float(before), float(size)), tail = __fdiv_rn(float(after), float(size));
        if (after <= 1e-3f * to) last--, tail = whole;  // OpenCV leaves out what is so small
        if (before <= 1e-3f * to) first++, head = whole;
    }
    __device__ float weight(int i) const { return i == first ? head : i == last ? tail : whole; }
};

// The two pixels that it takes where all of them count enough so.
struct Between {
    int first, second;
    float share;  // of the second
    __device__ Between(int size, int to, int index) {
        const float centre = (index + 0.5f) * (float(size) / to) - 0.5f;
        first = int(floorf(centre));
        share = centre - first;
        if (first < 0) first = 0, share = 0;
        if (first >= size - 1) first = size - 1, share = 0;
        second = min(first + 1, size - 1);
    }
};

// The same with the centre rounded as OpenCV rounds it, for bytes; dearer, so not for every pixel of
// a frame. Outside, OpenCV takes the border pixel whole in a row, and twice in a column.
__device__ inline Between between_exactly(int size, int to, int index, bool in_row) {
    Between found(size, to, index);
    const int centre = (2 * index + 1) * size - to;
    const int whole = centre < 0 ? -1 : centre / (2 * to);
    const float part = __fdiv_rn(float(centre - whole * 2 * to), float(2 * to));
    found.share = __fadd_rn(__fadd_rn(float(whole), part), -float(whole));
    found.first = max(whole, 0), found.second = min(whole + 1, size - 1);
    if (in_row && found.first == found.second) found.share = 0;
    return found;
}

// One pixel of a source halved so many times and scaled to a size: one step of `shrink` in
// pipeline/shrink.py, with all the exact halvings before it.
template <class S>
__device__ inline float scaled(const S& source, int halvings, int width, int height, int x, int y) {
    const int from_width = source.width() >> halvings, from_height = source.height() >> halvings;
    const bool same = width == from_width && height == from_height;
    const bool half = from_width == 2 * width && from_height == 2 * height;
    const bool leaves_out = width <= from_width && height <= from_height &&
                            (2 * from_width > 3 * width || 2 * from_height > 3 * height);
    if (same || leaves_out) {
        const Area across(from_width, width, x), down(from_height, height, y);
        float sum = 0;
#pragma unroll 1
        for (int v = down.first; v <= down.last; v++) {
            float row = 0;
#pragma unroll 1
            for (int u = across.first; u <= across.last; u++)
                row = __fadd_rn(row, __fmul_rn(halved(source, u, v, halvings), across.weight(u)));
            sum = __fadd_rn(sum, __fmul_rn(down.weight(v), row));
        }
        return S::round(sum, half);
    }
    const Between across = between_exactly(from_width, width, x, true);
    const Between down = between_exactly(from_height, height, y, false);
    float corners[4];
#pragma unroll 1
    for (int i = 0; i < 4; i++)
        corners[i] = halved(source, i & 1 ? across.second : across.first,
                            i & 2 ? down.second : down.first, halvings);
    return S::between(corners, across.share, down.share);
}

// OpenCV's BORDER_REFLECT_101: the border is mirrored without being repeated.
__device__ inline int reflected(int i, int size) {
    if (size == 1) return 0;
    while (i < 0 || i >= size) i = i < 0 ? -i : 2 * size - 2 - i;
    return i;
}
