// The hot path of the frame bus: memory that decoders render into, frames pulled from an appsink,
// and pictures converted by libyuv. Go decides, C touches the pixels.
#pragma once
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <stdint.h>

// Formats and matrices as the Go side numbers them.
enum { BUS_MEAN, BUS_LINEAR, BUS_OPENCV };  // filters
enum { BUS_GRAY8, BUS_I420, BUS_NV12, BUS_RGB, BUS_BGR, BUS_OTHER };
enum { BUS_BT601, BUS_BT709, BUS_BT2020 };

// One picture in a block of memory; offsets are bytes from the start of the block.
typedef struct {
  int format, width, height, planes;
  int matrix, full_range;
  int64_t offset[3];
  int stride[3];
} bus_picture;

// An allocator over one block with two sets of slots: what decoders write, and pictures made of it.
typedef struct bus_arena bus_arena;
enum { BUS_NATIVE, BUS_VARIANT };

// handle is given to busArenaGone when the last memory, slot and reference is gone.
bus_arena *bus_arena_new(void *base, int natives, int64_t native_size, int variants, int64_t variant_size, uintptr_t handle);
void bus_arena_unref(bus_arena *a);
// Gives the offset of a free slot of at least size bytes, -1 when there is none. A slot keeps the arena alive.
int64_t bus_slot_take(bus_arena *a, int set, int64_t size);
void bus_slot_give(bus_arena *a, int set, int64_t offset);
int bus_slots_free(bus_arena *a, int set);

// One pulled frame. The caller owns sample.
typedef struct {
  GstSample *sample;
  uintptr_t arena;  // handle of the arena that the picture lies in; 0: in plain memory
  bus_picture pic;  // offsets are those of the arena when there is one
  uint64_t seq;     // arrivals at the sink since start or flush, from 1
  int64_t arrived;  // wall clock, ns
  int64_t pts;      // running time, ns; -1: none
  int rate_n, rate_d;
  int undecoded;    // frames so far that the decoder was not given; set without a frame too
  int converted;    // videoconvert or videoflip made it out of what the decoder gave
} bus_frame;

// An appsink that offers arena memory upstream and numbers what arrives.
typedef struct bus_sink bus_sink;
// transforms are elements (or NULL) whose work counts as converting. handle goes to busNeedArena.
// bell is an eventfd that rings when there is a frame to pull or the end; the sink keeps a descriptor of its own.
bus_sink *bus_sink_new(void *appsink, void *convert, void *flip, uintptr_t handle, int bell);
void bus_sink_unref(bus_sink *s);
// Whether the source asks to be turned or mirrored (orientation tag).
int bus_sink_turned(bus_sink *s);
enum { BUS_FRAME, BUS_NOTHING, BUS_EOS };
int bus_pull(bus_sink *s, bus_frame *f);
void bus_sample_unref(GstSample *s);

// Fills dst, which says format and size, from src. 0 when done.
int bus_convert(const void *src_block, const bus_picture *src, void *dst_block, const bus_picture *dst);
int bus_convert_by(const void *src_block, const bus_picture *src, void *dst_block, const bus_picture *dst, int filter);
// Copies the picture of a sample to dst, which has its format and size. 0 when done.
int bus_copy_sample(GstSample *s, void *dst_block, const bus_picture *dst);

// Settings for the source elements that uridecodebin makes.
typedef struct {
  char *user, *password;  // for http; rtspsrc reads its own URL
  int latency_ms;
  int64_t timeout_ns;
} bus_source_options;
// Takes o over and frees it with the element.
void bus_on_source_setup(void *uridecodebin, bus_source_options *o);

// Has a rtspsrc ask for no sound.
void bus_video_only(void *rtspsrc);

// Gives the pictures of an element's pad "sink" that have no time stamp one: period_ns after those before.
void bus_even_times(void *element, int64_t period_ns);

// Has the decoders of a bin, those that come later too, see key frames only; s counts the others.
void bus_key_frames_only(void *bin, bus_sink *s);

int bus_seek(void *element, int64_t start_ns, int64_t stop_ns);
// Goes to the key frame before a time; 0 when it cannot.
int bus_seek_key(void *element, int64_t start_ns);
// -1 when not known.
int64_t bus_duration(void *element);
// The length in bytes of what the source element of a uridecodebin reads; -1 when not known.
int64_t bus_source_bytes(void *uridecodebin);

// One encoded picture.
typedef struct {
  void *data;  // to be freed with g_free
  int64_t size, pts, dts, duration;  // ns; -1: none
  int64_t at;  // ns: the stream time of pts, where placed says that it is known; it may be below 0
  int placed;
  int delta;   // it needs others to be decoded
} bus_unit;

// Gives the next encoded picture of an appsink, waiting at most that long: BUS_FRAME, BUS_NOTHING or BUS_EOS.
int bus_pull_unit(void *appsink, int64_t wait_ns, bus_unit *u);
// The name of the format that an appsink gets, to be freed; NULL when it is not known.
char *bus_format(void *appsink);
// Says whether what an appsink has got is to be turned or mirrored, as its tags say.
int bus_turned(void *appsink);

// Pushes a copy of an I420 picture without padding; the GstFlowReturn.
int bus_push(void *appsrc, const void *data, int width, int height, uint64_t pts, uint64_t duration);
int bus_queued(void *appsrc);
void bus_end(void *appsrc);

// What a missing-plugin message misses: its caps name and words for people, to be freed. NULL when m is another message.
char *bus_missing(GstMessage *m, char **words);
int bus_has_element(const char *name);
// After gst_init: what else must be set up, and GStreamer's own log off unless it is asked for.
void bus_begin(void);
int bus_yuv_version(void);

// Gives a property of an element or pad a value for each frame; linear in between.
int bus_animate(void *object, const char *property, const double *values, int n, int fps);
