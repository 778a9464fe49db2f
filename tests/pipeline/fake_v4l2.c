/* Stands in for a camera driver: preloaded, it answers for the files <FAKE_V4L2>/dev/video<N>.
 *
 * Files in <FAKE_V4L2> make it misbehave: `unplugged`, `stalled`, `busy`, `damaged`, `raw` (no MJPG).
 * It fills buffers with <FAKE_V4L2>/frame.jpg, or with a grey ramp in YUYV.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 4, LENGTH = 4 << 20 };

static struct {
    int fd, streaming, number;
    struct v4l2_pix_format pix;
    unsigned rate, sequence;
    uint64_t ready;
    void *memory[COUNT];
    int queue[COUNT], queued;
} camera = {.fd = -1};

static int is(const char *state) {
    char path[512];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", getenv("FAKE_V4L2"), state);
    return stat(path, &status) == 0;
}

static int fail(int number) {
    errno = number;
    return -1;
}

static int open_camera(const char *path) {
    struct stat status;
    char place[512];
    const char *root = getenv("FAKE_V4L2");
    int number;
    if (!root || !path) return -2;
    snprintf(place, sizeof place, "%s/dev/video%%d", root);
    if (sscanf(path, place, &number) != 1 || stat(path, &status)) return -2;
    if (is("unplugged")) return fail(ENODEV);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    memset(&camera, 0, sizeof camera);
    camera.fd = fd;
    camera.number = number;
    camera.rate = 30;
    return fd;
}

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);              \
        va_list rest;                                                               \
        va_start(rest, flags);                                                      \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;   \
        va_end(rest);                                                               \
        int fd = open_camera(path);                                                 \
        return fd == -2 ? real(path, flags, mode) : fd;                             \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "close");
    if (fd >= 0 && fd == camera.fd) camera.fd = -1;
    return real(fd);
}

static void *map(size_t length, off_t offset) {
    void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
    void *at = real(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    camera.memory[offset / LENGTH] = at;
    return at;
}

#define MMAP(name)                                                                  \
    void *name(void *at, size_t length, int prot, int flags, int fd, off_t offset) { \
        void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, #name); \
        if (fd >= 0 && fd == camera.fd) return map(length, offset);                 \
        return real(at, length, prot, flags, fd, offset);                           \
    }
MMAP(mmap)
MMAP(mmap64)

static int mode_rate(uint32_t format, unsigned width) {
    return format == V4L2_PIX_FMT_YUYV && width == 1280 ? 10 : 30;
}

static void set_timer(int on) {
    long period = on ? 1000000000L / camera.rate : 0;
    struct itimerspec every = {{0, period}, {0, period}};
    timerfd_settime(camera.fd, 0, &every, NULL);
}

static size_t fill(uint8_t *memory) {
    size_t length = 0;
    if (camera.pix.pixelformat == V4L2_PIX_FMT_YUYV) {
        for (unsigned y = 0; y < camera.pix.height; y++)
            for (unsigned x = 0; x < 2 * camera.pix.width; x++)
                memory[y * camera.pix.bytesperline + x] = x % 2 ? 128 : 16 + x % 200;
        length = camera.pix.height * camera.pix.bytesperline;
    } else {
        char path[512];
        snprintf(path, sizeof path, "%s/frame.jpg", getenv("FAKE_V4L2"));
        FILE *file = fopen(path, "rb");
        if (file) {
            length = fread(memory, 1, LENGTH, file);
            fclose(file);
        }
    }
    return is("damaged") ? length / 2 : length;
}

static int take(struct v4l2_buffer *buffer) {
    struct timespec now;
    uint64_t expired = 0;
    if (!camera.streaming) return fail(EINVAL);
    if (read(camera.fd, &expired, sizeof expired) == sizeof expired && !is("stalled"))
        camera.ready += expired;
    if (camera.ready > COUNT) camera.ready = COUNT; /* nobody came for the rest */
    if (!camera.ready || !camera.queued) return fail(EAGAIN);
    camera.ready--;
    int index = camera.queue[0];
    memmove(camera.queue, camera.queue + 1, --camera.queued * sizeof(int));
    clock_gettime(CLOCK_MONOTONIC, &now);
    buffer->index = index;
    buffer->bytesused = fill(camera.memory[index]);
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_MAPPED;
    now.tv_nsec -= 20000000; /* it was taken 20 ms ago */
    if (now.tv_nsec < 0) now.tv_nsec += 1000000000, now.tv_sec--;
    buffer->timestamp.tv_sec = now.tv_sec;
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    buffer->sequence = camera.sequence++;
    buffer->length = LENGTH;
    return 0;
}

static int answer(unsigned long request, void *data) {
    if (is("unplugged")) return fail(ENODEV);
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = data;
        memset(capability, 0, sizeof *capability);
        strcpy((char *)capability->driver, "uvcvideo");
        strcpy((char *)capability->card, "Fake Camera: Fake Camera");
        strcpy((char *)capability->bus_info, "usb-0000:00:14.0-1");
        capability->device_caps = V4L2_CAP_STREAMING |
            (camera.number % 2 ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE);
        capability->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_STREAMING |
            V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *description = data;
        if (description->index > (is("raw") ? 0 : 1)) return fail(EINVAL);
        description->pixelformat = description->index ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV;
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *size = data;
        if (size->index > 1) return fail(EINVAL);
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete.width = size->index ? 1280 : 640;
        size->discrete.height = size->index ? 720 : 480;
        return 0;
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *interval = data;
        if (interval->index > 0) return fail(EINVAL);
        interval->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        interval->discrete.numerator = 1;
        interval->discrete.denominator = mode_rate(interval->pixel_format, interval->width);
        return 0;
    }
    case VIDIOC_G_FMT:
    case VIDIOC_TRY_FMT:
    case VIDIOC_S_FMT: {
        struct v4l2_format *format = data;
        if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        if (request == VIDIOC_G_FMT) {
            format->fmt.pix = camera.pix;
            return 0;
        }
        if (is("busy")) return fail(EBUSY);
        struct v4l2_pix_format *pix = &format->fmt.pix;
        int large = pix->width > 900;
        pix->width = large ? 1280 : 640;
        pix->height = large ? 720 : 480;
        if (is("raw") || pix->pixelformat != V4L2_PIX_FMT_MJPEG)
            pix->pixelformat = V4L2_PIX_FMT_YUYV;
        pix->field = V4L2_FIELD_NONE;
        pix->bytesperline = pix->pixelformat == V4L2_PIX_FMT_YUYV ? 2 * pix->width + 64 : 0;
        pix->sizeimage = LENGTH;
        pix->colorspace = V4L2_COLORSPACE_SRGB;
        if (request == VIDIOC_S_FMT) {
            camera.pix = *pix;
            camera.rate = mode_rate(pix->pixelformat, pix->width);
        }
        return 0;
    }
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_streamparm *parameters = data;
        parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        parameters->parm.capture.timeperframe.numerator = 1;
        parameters->parm.capture.timeperframe.denominator = camera.rate;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = data;
        if (is("busy")) return fail(EBUSY);
        if (wanted->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
        if (wanted->count > COUNT) wanted->count = COUNT;
        camera.queued = 0;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = data;
        if (buffer->index >= COUNT) return fail(EINVAL);
        buffer->length = LENGTH;
        buffer->m.offset = buffer->index * LENGTH;
        return 0;
    }
    case VIDIOC_QBUF: {
        struct v4l2_buffer *buffer = data;
        if (buffer->index >= COUNT || camera.queued >= COUNT) return fail(EINVAL);
        camera.queue[camera.queued++] = buffer->index;
        return 0;
    }
    case VIDIOC_DQBUF:
        return take(data);
    case VIDIOC_STREAMON:
        camera.streaming = 1;
        set_timer(1);
        return 0;
    case VIDIOC_STREAMOFF:
        camera.streaming = 0;
        set_timer(0);
        return 0;
    }
    return fail(ENOTTY);
}

int ioctl(int fd, unsigned long request, ...) {
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    va_list rest;
    va_start(rest, request);
    void *data = va_arg(rest, void *);
    va_end(rest);
    /* Some callers pass the number as a negative int. */
    return fd >= 0 && fd == camera.fd ? answer((uint32_t)request, data) : real(fd, request, data);
}
