#include "bus.h"
#include <gst/base/gstbasetransform.h>
#include <gst/controller/gstdirectcontrolbinding.h>
#include <gst/controller/gstinterpolationcontrolsource.h>
#include <gst/pbutils/pbutils.h>
#include <libyuv.h>
#include <math.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include "_cgo_export.h"

// ---- the allocator ----

typedef struct {
  int64_t base, size;
  int n, nfree;
  int *free;    // a stack: the slot freed last is still in the cache
  gint wanted;  // somebody went without: pools give slots back instead of keeping them
} slot_set;

struct bus_arena {
  GstAllocator parent;
  guint8 *block;
  GMutex mu;
  slot_set set[2];
  uintptr_t handle;
};
typedef struct {
  GstAllocatorClass parent;
} bus_arenaClass;
static GType bus_arena_get_type(void);
G_DEFINE_TYPE(bus_arena, bus_arena, GST_TYPE_ALLOCATOR)

typedef struct {
  GstMemory mem;
  guint8 *data;    // where the slot begins
  int64_t offset;  // of the slot in the block; -1: a share of another memory
} arena_memory;

static int64_t set_pop(bus_arena *a, slot_set *s, int64_t size) {
  if (size > s->size) return -1;
  int64_t at = -1;
  g_mutex_lock(&a->mu);
  if (s->nfree > 0) at = s->base + (int64_t)s->free[--s->nfree] * s->size;
  if (at < 0) g_atomic_int_set(&s->wanted, 1);
  g_mutex_unlock(&a->mu);
  return at;
}

static void set_push(bus_arena *a, slot_set *s, int64_t offset) {
  g_mutex_lock(&a->mu);
  s->free[s->nfree++] = (int)((offset - s->base) / s->size);
  if (s->nfree * 4 >= s->n) g_atomic_int_set(&s->wanted, 0);
  g_mutex_unlock(&a->mu);
}

// Never fails: a decoder that gets NULL stops its stream without an end. Plain memory is noticed by bus_pull.
static GstMemory *arena_alloc(GstAllocator *al, gsize size, GstAllocationParams *p) {
  bus_arena *a = (bus_arena *)al;
  slot_set *s = &a->set[BUS_NATIVE];
  int64_t at = set_pop(a, s, (int64_t)(size + p->prefix + p->padding));
  if (at < 0) return gst_allocator_alloc(NULL, size, p);
  arena_memory *m = g_new0(arena_memory, 1);
  gst_memory_init(GST_MEMORY_CAST(m), p->flags, al, NULL, s->size, p->align, p->prefix, size);
  m->data = a->block + at;
  m->offset = at;
  return GST_MEMORY_CAST(m);
}

static void arena_free(GstAllocator *al, GstMemory *mem) {
  bus_arena *a = (bus_arena *)al;
  arena_memory *m = (arena_memory *)mem;
  if (m->offset >= 0) set_push(a, &a->set[BUS_NATIVE], m->offset);
  g_free(m);
}

static gpointer arena_map(GstMemory *mem, gsize maxsize, GstMapFlags flags) { return ((arena_memory *)mem)->data; }
static void arena_unmap(GstMemory *mem) {}

// A share keeps frames in the arena when an element only changes a buffer's metadata.
static GstMemory *arena_share(GstMemory *mem, gssize offset, gssize size) {
  GstMemory *parent = mem->parent ? mem->parent : mem;
  if (size == -1) size = mem->size - offset;
  arena_memory *m = g_new0(arena_memory, 1);
  gst_memory_init(GST_MEMORY_CAST(m), GST_MINI_OBJECT_FLAGS(parent) | GST_MINI_OBJECT_FLAG_LOCK_READONLY, mem->allocator, parent,
                  mem->maxsize, mem->align, mem->offset + offset, size);
  m->data = ((arena_memory *)mem)->data;
  m->offset = -1;
  return GST_MEMORY_CAST(m);
}

static void bus_arena_finalize(GObject *o) {
  bus_arena *a = (bus_arena *)o;
  uintptr_t handle = a->handle;
  for (int i = 0; i < 2; i++) g_free(a->set[i].free);
  g_mutex_clear(&a->mu);
  G_OBJECT_CLASS(bus_arena_parent_class)->finalize(o);
  busArenaGone(handle);
}

static void bus_arena_class_init(bus_arenaClass *k) {
  ((GstAllocatorClass *)k)->alloc = arena_alloc;
  ((GstAllocatorClass *)k)->free = arena_free;
  G_OBJECT_CLASS(k)->finalize = bus_arena_finalize;
}

static void bus_arena_init(bus_arena *a) {
  GstAllocator *al = GST_ALLOCATOR_CAST(a);
  al->mem_type = "CapstanArena";
  al->mem_map = arena_map;
  al->mem_unmap = arena_unmap;
  al->mem_share = arena_share;
  g_mutex_init(&a->mu);
}

static void set_init(slot_set *s, int64_t base, int n, int64_t size) {
  s->base = base;
  s->size = size;
  s->n = s->nfree = n;
  s->free = g_new0(int, n + 1);
  for (int i = 0; i < n; i++) s->free[i] = n - 1 - i;
}

bus_arena *bus_arena_new(void *base, int natives, int64_t native_size, int variants, int64_t variant_size, uintptr_t handle) {
  bus_arena *a = g_object_new(bus_arena_get_type(), NULL);
  gst_object_ref_sink(a);
  a->block = base;
  a->handle = handle;
  set_init(&a->set[BUS_NATIVE], 0, natives, native_size);
  set_init(&a->set[BUS_VARIANT], natives * native_size, variants, variant_size);
  return a;
}

void bus_arena_unref(bus_arena *a) { gst_object_unref(a); }

int64_t bus_slot_take(bus_arena *a, int set, int64_t size) {
  int64_t at = set_pop(a, &a->set[set], size);
  if (at >= 0) gst_object_ref(a);
  return at;
}

void bus_slot_give(bus_arena *a, int set, int64_t offset) {
  set_push(a, &a->set[set], offset);
  gst_object_unref(a);
}

int bus_slots_free(bus_arena *a, int set) {
  g_mutex_lock(&a->mu);
  int n = a->set[set].nfree;
  g_mutex_unlock(&a->mu);
  return n;
}

// ---- the pool ----

// A GstVideoBufferPool that forgets buffers of plain memory when they come back, so that the
// arena is used again as soon as it has room; and slots while the arena is short of them, so
// that copies get some.
typedef struct {
  GstVideoBufferPool parent;
} bus_pool;
typedef struct {
  GstVideoBufferPoolClass parent;
} bus_poolClass;
static GType bus_pool_get_type(void);
G_DEFINE_TYPE(bus_pool, bus_pool, GST_TYPE_VIDEO_BUFFER_POOL)

static bus_arena *buffer_arena(GstBuffer *b) {
  if (gst_buffer_n_memory(b) != 1) return NULL;
  GstMemory *m = gst_buffer_peek_memory(b, 0);
  return m->allocator && G_TYPE_CHECK_INSTANCE_TYPE(m->allocator, bus_arena_get_type()) ? (bus_arena *)m->allocator : NULL;
}

static void pool_release(GstBufferPool *p, GstBuffer *b) {
  bus_arena *a = buffer_arena(b);
  if (!a || g_atomic_int_get(&a->set[BUS_NATIVE].wanted)) GST_BUFFER_FLAG_SET(b, GST_BUFFER_FLAG_TAG_MEMORY);
  GST_BUFFER_POOL_CLASS(bus_pool_parent_class)->release_buffer(p, b);
}

static void bus_pool_class_init(bus_poolClass *k) { GST_BUFFER_POOL_CLASS(k)->release_buffer = pool_release; }
static void bus_pool_init(bus_pool *p) {}

// ---- the sink ----

typedef struct {
  GstBuffer *buffer;  // not owned: only compared
  uint64_t seq;
  int64_t wall;
  int converted;
} arrival;

enum { RING = 64, POOL_MIN = 2 };

struct bus_sink {
  gint refs, turned, undecoded;
  GstElement *appsink;
  GstBaseTransform *convert, *flip;
  uintptr_t handle;
  int bell;  // our own descriptor: a pipeline that does not stop may ring when Go has closed its one
  GMutex mu;
  uint64_t arrived;
  arrival ring[RING];
  GstCaps *caps;  // those of info
  GstVideoInfo info;
};

static bus_sink *sink_ref(bus_sink *s) {
  g_atomic_int_inc(&s->refs);
  return s;
}

void bus_sink_unref(bus_sink *s) {
  if (!g_atomic_int_dec_and_test(&s->refs)) return;
  gst_clear_caps(&s->caps);
  gst_clear_object(&s->convert);
  gst_clear_object(&s->flip);
  g_mutex_clear(&s->mu);
  if (s->bell >= 0) close(s->bell);
  g_free(s);
}

static void sink_drop(gpointer s) { bus_sink_unref(s); }

static GstPadProbeReturn answer_allocation(bus_sink *s, GstQuery *q) {
  GstCaps *caps = NULL;
  GstVideoInfo vi;
  gst_query_parse_allocation(q, &caps, NULL);
  if (!caps || !gst_video_info_from_caps(&vi, caps)) return GST_PAD_PROBE_OK;
  bus_arena *a = (bus_arena *)busNeedArena(s->handle, vi.width, vi.height, (int64_t)vi.size);
  if (!a) return GST_PAD_PROBE_OK;
  GstAllocationParams ap;
  gst_allocation_params_init(&ap);
  ap.align = 63;
  gst_query_add_allocation_param(q, GST_ALLOCATOR_CAST(a), &ap);
  GstBufferPool *pool = g_object_new(bus_pool_get_type(), NULL);
  gst_object_ref_sink(pool);
  GstStructure *c = gst_buffer_pool_get_config(pool);
  // No maximum: a bounded pool is ignored by decoders, or stops them.
  gst_buffer_pool_config_set_params(c, caps, vi.size, POOL_MIN, 0);
  gst_buffer_pool_config_set_allocator(c, GST_ALLOCATOR_CAST(a), &ap);
  gst_buffer_pool_config_add_option(c, GST_BUFFER_POOL_OPTION_VIDEO_META);
  gst_buffer_pool_set_config(pool, c);
  gst_query_add_allocation_pool(q, pool, vi.size, POOL_MIN, 0);
  gst_query_add_allocation_meta(q, GST_VIDEO_META_API_TYPE, NULL);
  gst_object_unref(pool);
  bus_arena_unref(a);
  return GST_PAD_PROBE_HANDLED;
}

static int transforming(GstBaseTransform *t) { return t && !gst_base_transform_is_passthrough(t); }

static void note_arrival(bus_sink *s, GstBuffer *b) {
  int converted = transforming(s->convert) || transforming(s->flip);
  g_mutex_lock(&s->mu);
  s->arrived++;
  s->ring[s->arrived % RING] = (arrival){b, s->arrived, g_get_real_time() * 1000, converted};
  g_mutex_unlock(&s->mu);
}

// Whether a tag event asks for pictures to be turned or mirrored; -1: it does not say.
static int orientation_of(GstEvent *e) {
  GstTagList *tags = NULL;
  gchar *way = NULL;
  gst_event_parse_tag(e, &tags);
  if (!gst_tag_list_get_string(tags, GST_TAG_IMAGE_ORIENTATION, &way)) return -1;
  int turned = strcmp(way, "rotate-0") != 0;
  g_free(way);
  return turned;
}

static void note_orientation(bus_sink *s, GstEvent *e) {
  int turned = orientation_of(e);
  if (turned >= 0) g_atomic_int_set(&s->turned, turned);
}

static GstPadProbeReturn on_pad(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
  bus_sink *s = data;
  if (info->type & GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM) {
    GstQuery *q = GST_PAD_PROBE_INFO_QUERY(info);
    return GST_QUERY_TYPE(q) == GST_QUERY_ALLOCATION ? answer_allocation(s, q) : GST_PAD_PROBE_OK;
  }
  if (info->type & GST_PAD_PROBE_TYPE_BUFFER) note_arrival(s, GST_PAD_PROBE_INFO_BUFFER(info));
  if ((info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) && GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_TAG)
    note_orientation(s, GST_PAD_PROBE_INFO_EVENT(info));
  if ((info->type & GST_PAD_PROBE_TYPE_EVENT_FLUSH) && GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_FLUSH_STOP) {
    g_mutex_lock(&s->mu);
    s->arrived = 0;
    memset(s->ring, 0, sizeof s->ring);
    g_mutex_unlock(&s->mu);
  }
  return GST_PAD_PROBE_OK;
}

static GstBaseTransform *as_transform(void *e) { return e && GST_IS_BASE_TRANSFORM(e) ? gst_object_ref(e) : NULL; }

// The bell says that there is something to pull. A write to it that would block is not needed: the bell rings already.
static void ring_bell(bus_sink *s) {
  uint64_t one = 1;
  ssize_t n = write(s->bell, &one, sizeof one);
  (void)n;
}

static GstFlowReturn on_sample(GstAppSink *sink, gpointer s) {
  (void)sink;
  ring_bell(s);
  return GST_FLOW_OK;
}

static void on_eos(GstAppSink *sink, gpointer s) {
  (void)sink;
  ring_bell(s);
}

bus_sink *bus_sink_new(void *appsink, void *convert, void *flip, uintptr_t handle, int bell) {
  bus_sink *s = g_new0(bus_sink, 1);
  s->refs = 1;
  s->appsink = appsink;  // the pipeline owns it and outlives the sink's use
  s->convert = as_transform(convert);
  s->flip = as_transform(flip);
  s->handle = handle;
  s->bell = fcntl(bell, F_DUPFD_CLOEXEC, 0);
  g_mutex_init(&s->mu);
  GstAppSinkCallbacks calls = {.eos = on_eos, .new_sample = on_sample};
  gst_app_sink_set_callbacks(GST_APP_SINK(appsink), &calls, sink_ref(s), sink_drop);
  GstPad *pad = gst_element_get_static_pad(appsink, "sink");
  gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH, on_pad, sink_ref(s),
                    sink_drop);
  gst_object_unref(pad);
  return s;
}

int bus_sink_turned(bus_sink *s) { return g_atomic_int_get(&s->turned); }

// The newest arrival of this buffer is the right one: a buffer that waits in the sink cannot have arrived again.
static void find_arrival(bus_sink *s, GstBuffer *b, bus_frame *f) {
  g_mutex_lock(&s->mu);
  for (uint64_t n = s->arrived; n > 0 && n + RING > s->arrived; n--) {
    arrival *r = &s->ring[n % RING];
    if (r->buffer != b || r->seq != n) continue;
    f->seq = r->seq;
    f->arrived = r->wall;
    f->converted = r->converted;
    break;
  }
  g_mutex_unlock(&s->mu);
}

static int format_code(GstVideoFormat f) {
  switch (f) {
    case GST_VIDEO_FORMAT_GRAY8: return BUS_GRAY8;
    case GST_VIDEO_FORMAT_I420: return BUS_I420;
    case GST_VIDEO_FORMAT_NV12: return BUS_NV12;
    default: return BUS_OTHER;
  }
}

static int matrix_code(GstVideoColorMatrix m) {
  switch (m) {
    case GST_VIDEO_COLOR_MATRIX_BT709: return BUS_BT709;
    case GST_VIDEO_COLOR_MATRIX_BT2020: return BUS_BT2020;
    default: return BUS_BT601;
  }
}

static void describe(bus_sink *s, GstBuffer *b, bus_frame *f) {
  GstVideoInfo *vi = &s->info;
  bus_picture *p = &f->pic;
  p->format = format_code(GST_VIDEO_INFO_FORMAT(vi));
  p->width = vi->width;
  p->height = vi->height;
  p->planes = (int)GST_VIDEO_INFO_N_PLANES(vi);
  p->matrix = matrix_code(vi->colorimetry.matrix);
  p->full_range = vi->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;
  f->rate_n = vi->fps_n;
  f->rate_d = vi->fps_d;
  GstVideoMeta *vm = gst_buffer_get_video_meta(b);
  for (int i = 0; i < p->planes && i < 3; i++) {
    p->offset[i] = (int64_t)(vm ? vm->offset[i] : vi->offset[i]);
    p->stride[i] = vm ? vm->stride[i] : vi->stride[i];
  }
}

static void locate(GstBuffer *b, bus_frame *f) {
  bus_arena *a = buffer_arena(b);
  if (!a) return;
  GstMemory *m = gst_buffer_peek_memory(b, 0);
  int64_t at = ((arena_memory *)m)->data - a->block + (int64_t)m->offset;
  for (int i = 0; i < f->pic.planes && i < 3; i++) f->pic.offset[i] += at;
  f->arena = a->handle;
}

// GStreamer forgets the range of colours whose matrix the stream does not tell.
static void keep_range(GstVideoInfo *info, GstCaps *caps) {
  const char *text = gst_caps_get_size(caps) > 0 ? gst_structure_get_string(gst_caps_get_structure(caps, 0), "colorimetry") : NULL;
  GstVideoColorimetry c;
  if (text && gst_video_colorimetry_from_string(&c, text) && c.range != GST_VIDEO_COLOR_RANGE_UNKNOWN) info->colorimetry.range = c.range;
}

int bus_pull(bus_sink *s, bus_frame *f) {
  memset(f, 0, sizeof *f);
  f->undecoded = g_atomic_int_get(&s->undecoded);
  GstAppSink *sink = GST_APP_SINK(s->appsink);
  GstSample *sample = gst_app_sink_try_pull_sample(sink, 0);
  if (!sample) return gst_app_sink_is_eos(sink) ? BUS_EOS : BUS_NOTHING;
  GstCaps *caps = gst_sample_get_caps(sample);
  GstBuffer *b = gst_sample_get_buffer(sample);
  if (!caps || !b) {
    gst_sample_unref(sample);
    return BUS_NOTHING;
  }
  if (caps != s->caps) {
    gst_caps_replace(&s->caps, caps);
    if (!gst_video_info_from_caps(&s->info, caps)) gst_video_info_init(&s->info);
    keep_range(&s->info, caps);
  }
  f->sample = sample;
  GstClockTime t = GST_BUFFER_PTS(b);
  GstSegment *segment = gst_sample_get_segment(sample);
  if (GST_CLOCK_TIME_IS_VALID(t) && segment) t = gst_segment_to_running_time(segment, GST_FORMAT_TIME, t);
  f->pts = GST_CLOCK_TIME_IS_VALID(t) ? (int64_t)t : -1;
  find_arrival(s, b, f);
  describe(s, b, f);
  locate(b, f);
  return BUS_FRAME;
}

void bus_sample_unref(GstSample *s) { gst_sample_unref(s); }

// ---- pictures ----

typedef struct {
  uint8_t *p[3];
  int stride[3], w, h, format;
} planes;

static planes at(const void *block, const bus_picture *p) {
  planes r = {.w = p->width, .h = p->height, .format = p->format};
  for (int i = 0; i < p->planes && i < 3; i++) {
    r.p[i] = (uint8_t *)block + p->offset[i];
    r.stride[i] = p->stride[i];
  }
  return r;
}

static const struct YuvConstants *constants(const bus_picture *p, int swapped) {
  switch (p->matrix * 2 + (p->full_range != 0)) {
    case BUS_BT601 * 2: return swapped ? &kYvuI601Constants : &kYuvI601Constants;
    case BUS_BT601 * 2 + 1: return swapped ? &kYvuJPEGConstants : &kYuvJPEGConstants;
    case BUS_BT709 * 2: return swapped ? &kYvuH709Constants : &kYuvH709Constants;
    case BUS_BT709 * 2 + 1: return swapped ? &kYvuF709Constants : &kYuvF709Constants;
    case BUS_BT2020 * 2: return swapped ? &kYvu2020Constants : &kYuv2020Constants;
    default: return swapped ? &kYvuV2020Constants : &kYuvV2020Constants;
  }
}

static void resize(const uint8_t *src, int stride, int w, int h, uint8_t *dst, int dstride, int dw, int dh, int pairs, enum FilterMode f) {
  if (pairs)
    UVScale(src, stride, w, h, dst, dstride, dw, dh, f);
  else
    ScalePlane(src, stride, w, h, dst, dstride, dw, dh, f);
}

// Scales one plane, of bytes or of pairs. Bilinear alone skips pixels past a half; for means libyuv's
// box filter of any size is slow: so halves and quarters are averaged first, which is fast, and
// the rest, below two, is bilinear. Up to three columns and rows at the far edge get lost by that.
static void scale_plane(const uint8_t *src, int stride, int w, int h, uint8_t *dst, int dstride, int dw, int dh, int pairs, int filter) {
  uint8_t *last = NULL;
  for (int by = filter == BUS_MEAN ? 4 : 1; by > 1;) {
    if (w / by < dw || h / by < dh) {
      by /= 2;
      continue;
    }
    int tw = w / by, th = h / by, done = tw == dw && th == dh, tstride = done ? dstride : tw * (pairs ? 2 : 1);
    uint8_t *t = done ? dst : g_malloc((size_t)tstride * th);
    resize(src, stride, tw * by, th * by, t, tstride, tw, th, pairs, kFilterBox);
    g_free(last);
    if (done) return;
    src = last = t;
    stride = tstride;
    w = tw;
    h = th;
  }
  resize(src, stride, w, h, dst, dstride, dw, dh, pairs, kFilterBilinear);
  g_free(last);
}

static void scale(const planes *s, const planes *d, int filter) {
  int pairs = s->format == BUS_NV12;
  scale_plane(s->p[0], s->stride[0], s->w, s->h, d->p[0], d->stride[0], d->w, d->h, 0, filter);
  for (int i = 1; i < (pairs ? 2 : 3); i++)
    scale_plane(s->p[i], s->stride[i], (s->w + 1) / 2, (s->h + 1) / 2, d->p[i], d->stride[i], (d->w + 1) / 2, (d->h + 1) / 2, pairs, filter);
}

// libyuv multiplies chroma in eighths of a byte: U's part of blue in BT.709 and BT.2020 of
// limited range (2.11 and 2.14) is cut to 2, and pure blue comes out as 243. So U is stretched
// before by what is missing, in 128ths; its legal range 16..240 leaves room.
enum { STRETCH_709 = 7, STRETCH_2020 = 9 };

// All in 16 bits, which the compiler makes vectors of: eight times as fast.
static inline __attribute__((always_inline)) uint8_t stretched(uint8_t in, const int16_t k) {
  int16_t u = (int16_t)(in - 128);
  int16_t t = (int16_t)(u * k);
  t = (int16_t)((int16_t)(t + 64) >> 7);
  t = (int16_t)(t + in);
  t = t < 0 ? 0 : t;
  t = t > 255 ? 255 : t;
  return (uint8_t)t;
}

static inline __attribute__((always_inline)) void stretch_row(uint8_t *restrict o, const uint8_t *restrict in, int n, int step, const int16_t k) {
  for (int x = 0; x < n; x++) {
    o[x * step] = stretched(in[x * step], k);
    if (step == 2) o[2 * x + 1] = in[2 * x + 1];
  }
}

// k and step are constants in each call.
static void stretch(uint8_t *o, const planes *s, int k) {
  int n = (s->w + 1) / 2, rows = (s->h + 1) / 2, pairs = s->format == BUS_NV12;
  const uint8_t *in = s->p[1];
  for (int y = 0; y < rows; y++, in += s->stride[1], o += pairs ? 2 * n : n) {
    if (pairs && k == STRETCH_709) stretch_row(o, in, n, 2, STRETCH_709);
    else if (pairs) stretch_row(o, in, n, 2, STRETCH_2020);
    else if (k == STRETCH_709) stretch_row(o, in, n, 1, STRETCH_709);
    else stretch_row(o, in, n, 1, STRETCH_2020);
  }
}

// libyuv's "RGB24" lies B, G, R in memory; with chroma and matrix swapped it lies R, G, B.
static int pack(const planes *s, const planes *d, const struct YuvConstants *c) {
  int rgb = d->format == BUS_RGB, u = rgb ? 2 : 1, v = rgb ? 1 : 2;
  if (s->format == BUS_NV12)
    return (rgb ? NV21ToRGB24Matrix : NV12ToRGB24Matrix)(s->p[0], s->stride[0], s->p[1], s->stride[1], d->p[0], d->stride[0], c, s->w, s->h);
  return I420ToRGB24Matrix(s->p[0], s->stride[0], s->p[u], s->stride[u], s->p[v], s->stride[v], d->p[0], d->stride[0], c, s->w, s->h);
}

enum { BAND = 32 };  // rows; their stretched chroma stays in the nearest cache

static int to_packed(const planes *from, const planes *d, const bus_picture *src) {
  const struct YuvConstants *c = constants(src, d->format == BUS_RGB);
  if (src->full_range || src->matrix == BUS_BT601) return pack(from, d, c);
  int stride = (from->w + 1) / 2 * (from->format == BUS_NV12 ? 2 : 1), n = 0;
  uint8_t *u = g_malloc((size_t)stride * BAND / 2);
  for (int y = 0; y < from->h && n == 0; y += BAND) {
    planes s = *from, o = *d;
    s.h = from->h - y < BAND ? from->h - y : BAND;
    s.p[0] += (ptrdiff_t)y * s.stride[0];
    for (int i = 1; i < 3; i++) s.p[i] += (ptrdiff_t)(y / 2) * s.stride[i];
    o.p[0] += (ptrdiff_t)y * o.stride[0];
    stretch(u, &s, src->matrix == BUS_BT709 ? STRETCH_709 : STRETCH_2020);
    s.p[1] = u;
    s.stride[1] = stride;
    n = pack(&s, &o, c);
  }
  g_free(u);
  return n;
}

static int same_size(const planes *s, const planes *d, const bus_picture *src) {
  if (d->format == BUS_RGB || d->format == BUS_BGR) return to_packed(s, d, src);
  if (s->format == BUS_I420 && d->format == BUS_NV12)
    return I420ToNV12(s->p[0], s->stride[0], s->p[1], s->stride[1], s->p[2], s->stride[2], d->p[0], d->stride[0], d->p[1], d->stride[1], s->w, s->h);
  if (s->format == BUS_NV12 && d->format == BUS_I420)
    return NV12ToI420(s->p[0], s->stride[0], s->p[1], s->stride[1], d->p[0], d->stride[0], d->p[1], d->stride[1], d->p[2], d->stride[2], s->w, s->h);
  if (s->format != d->format) return -1;
  int cw = (s->w + 1) / 2, ch = (s->h + 1) / 2;
  CopyPlane(s->p[0], s->stride[0], d->p[0], d->stride[0], s->w, s->h);
  if (s->format == BUS_NV12) CopyPlane(s->p[1], s->stride[1], d->p[1], d->stride[1], cw * 2, ch);
  for (int i = 1; s->format == BUS_I420 && i < 3; i++) CopyPlane(s->p[i], s->stride[i], d->p[i], d->stride[i], cw, ch);
  return 0;
}

// A picture of d's size in s's format, in memory to be freed.
static planes scratch(const planes *s, const planes *d) {
  planes t = {.w = d->w, .h = d->h, .format = s->format};
  int cw = (d->w + 1) / 2, ch = (d->h + 1) / 2;
  t.p[0] = g_malloc((size_t)d->w * d->h + 2 * (size_t)cw * ch);
  t.p[1] = t.p[0] + (size_t)d->w * d->h;
  t.p[2] = t.p[1] + (size_t)cw * ch;
  t.stride[0] = d->w;
  t.stride[1] = s->format == BUS_NV12 ? 2 * cw : cw;
  t.stride[2] = cw;
  return t;
}

// ---- pictures as OpenCV has them ----
//
// cv2.VideoCapture has libswscale convert, whose fast way on x86 cuts every product off to a whole
// number and takes BT.601 for all; cv2.resize works in 1/2048. Both to the last bit.

typedef struct {
  int y, y_off, ub, ug, vg, vr;  // products are >> 16
} cut_table;

static int in_8192ths(int64_t c) { return (int)((c * 8192 + 32768) >> 16); }

static cut_table cut_table_for(int full_range) {
  int64_t y = 65536, vr = 104597, ub = 132201, ug = 25675, vg = 53279;
  if (full_range) {
    vr = vr * 224 / 255;
    ub = ub * 224 / 255;
    ug = ug * 224 / 255;
    vg = vg * 224 / 255;
  } else {
    y = y * 255 / 219;
  }
  return (cut_table){in_8192ths(y), full_range ? 0 : 16 * 8, in_8192ths(ub), in_8192ths(-ug), in_8192ths(-vg), in_8192ths(vr)};
}

static inline uint8_t clipped(int v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

// One row in the order of d's format.
static void cut_row(const cut_table *t, const planes *s, int row, uint8_t *out, int rgb) {
  int step = s->format == BUS_NV12 ? 2 : 1;
  const uint8_t *y = s->p[0] + (ptrdiff_t)row * s->stride[0], *u = s->p[1] + (ptrdiff_t)(row / 2) * s->stride[1];
  const uint8_t *v = step == 2 ? u + 1 : s->p[2] + (ptrdiff_t)(row / 2) * s->stride[2];
  for (int x = 0; x < s->w; x++, out += 3) {
    int l = ((y[x] * 8 - t->y_off) * t->y) >> 16, cu = u[x / 2 * step] * 8 - 1024, cv = v[x / 2 * step] * 8 - 1024;
    out[rgb ? 2 : 0] = clipped(l + ((cu * t->ub) >> 16));
    out[1] = clipped(l + ((cu * t->ug) >> 16) + ((cv * t->vg) >> 16));
    out[rgb ? 0 : 2] = clipped(l + ((cv * t->vr) >> 16));
  }
}

typedef struct {
  int at;            // of the first of two neighbours
  int first, second;  // their weights in 1/2048
} neighbours;

static neighbours neighbours_of(int i, int n, int of) {
  float f = (float)((i + 0.5) * ((double)of / n) - 0.5);
  int at = (int)floorf(f);
  f -= (float)at;
  return (neighbours){at, (int)lrintf((1 - f) * 2048), (int)lrintf(f * 2048)};
}

static neighbours column_of(int i, int n, int of) {
  neighbours t = neighbours_of(i, n, of);
  if (t.at < 0 || t.at >= of - 1) t = (neighbours){t.at < 0 ? 0 : of - 1, 2048, 0};
  return t;
}

static void as_opencv(const planes *s, const planes *d, int full_range) {
  cut_table t = cut_table_for(full_range);
  int rgb = d->format == BUS_RGB, n = 3 * d->w, have[2] = {-1, -1};
  if (s->w == d->w && s->h == d->h) {
    for (int y = 0; y < d->h; y++) cut_row(&t, s, y, d->p[0] + (ptrdiff_t)y * d->stride[0], rgb);
    return;
  }
  neighbours *columns = g_new(neighbours, d->w);
  uint8_t *line = g_malloc(3 * (size_t)s->w);
  int *rows[2] = {g_new(int, n), g_new(int, n)};
  for (int x = 0; x < d->w; x++) columns[x] = column_of(x, d->w, s->w);
  for (int y = 0; y < d->h; y++) {
    neighbours r = neighbours_of(y, d->h, s->h);
    const int *up_down[2];
    for (int k = 0; k < 2; k++) {
      int row = CLAMP(r.at + k, 0, s->h - 1), at = row & 1;
      if (have[at] != row) {
        cut_row(&t, s, row, line, rgb);
        for (int x = 0; x < d->w; x++) {
          const uint8_t *a = line + 3 * columns[x].at, *b = columns[x].second ? a + 3 : a;
          for (int c = 0; c < 3; c++) rows[at][3 * x + c] = a[c] * columns[x].first + b[c] * columns[x].second;
        }
        have[at] = row;
      }
      up_down[k] = rows[at];
    }
    uint8_t *out = d->p[0] + (ptrdiff_t)y * d->stride[0];
    for (int i = 0; i < n; i++)
      out[i] = clipped((((r.first * (up_down[0][i] >> 4)) >> 16) + ((r.second * (up_down[1][i] >> 4)) >> 16) + 2) >> 2);
  }
  g_free(columns);
  g_free(line);
  g_free(rows[0]);
  g_free(rows[1]);
}

int bus_convert(const void *src_block, const bus_picture *src, void *dst_block, const bus_picture *dst) {
  return bus_convert_by(src_block, src, dst_block, dst, BUS_MEAN);
}

int bus_convert_by(const void *src_block, const bus_picture *src, void *dst_block, const bus_picture *dst, int filter) {
  planes s = at(src_block, src), d = at(dst_block, dst);
  if (s.format != BUS_I420 && s.format != BUS_NV12) return -1;
  if (d.format == BUS_GRAY8) {
    scale_plane(s.p[0], s.stride[0], s.w, s.h, d.p[0], d.stride[0], d.w, d.h, 0, filter);
    return 0;
  }
  if (filter == BUS_OPENCV && (d.format == BUS_RGB || d.format == BUS_BGR)) {
    as_opencv(&s, &d, src->full_range);
    return 0;
  }
  if (s.w == d.w && s.h == d.h) return same_size(&s, &d, src);
  if (s.format == d.format) {
    scale(&s, &d, filter);
    return 0;
  }
  planes t = scratch(&s, &d);
  scale(&s, &t, filter);
  int n = same_size(&t, &d, src);
  g_free(t.p[0]);
  return n;
}

int bus_copy_sample(GstSample *sample, void *dst_block, const bus_picture *dst) {
  GstVideoInfo vi;
  GstVideoFrame vf;
  if (!gst_video_info_from_caps(&vi, gst_sample_get_caps(sample))) return -1;
  if (!gst_video_frame_map(&vf, &vi, gst_sample_get_buffer(sample), GST_MAP_READ)) return -2;
  planes s = {.w = dst->width, .h = dst->height, .format = format_code(GST_VIDEO_INFO_FORMAT(&vi))}, d = at(dst_block, dst);
  for (int i = 0; i < dst->planes && i < 3; i++) {
    s.p[i] = GST_VIDEO_FRAME_PLANE_DATA(&vf, i);
    s.stride[i] = GST_VIDEO_FRAME_PLANE_STRIDE(&vf, i);
  }
  int n = same_size(&s, &d, dst);
  gst_video_frame_unmap(&vf);
  return n;
}

// ---- sources ----

static void options_free(gpointer data, GClosure *c) {
  bus_source_options *o = data;
  g_free(o->user);
  g_free(o->password);
  g_free(o);
}

static int has(GstElement *e, const char *name) { return g_object_class_find_property(G_OBJECT_GET_CLASS(e), name) != NULL; }

// Sound is not even asked for.
static gboolean is_video(GstElement *source, guint stream, GstCaps *caps, gpointer data) {
  const char *media = gst_caps_get_size(caps) > 0 ? gst_structure_get_string(gst_caps_get_structure(caps, 0), "media") : NULL;
  return !media || !strcmp(media, "video");
}

static void on_source_setup(GstElement *bin, GstElement *source, gpointer data) {
  bus_source_options *o = data;
  GstElementFactory *f = gst_element_get_factory(source);
  const char *kind = f ? GST_OBJECT_NAME(f) : "";
  if (!strcmp(kind, "rtspsrc")) {
    gst_util_set_object_arg(G_OBJECT(source), "protocols", "tcp");
    g_object_set(source, "latency", o->latency_ms, "tcp-timeout", (guint64)(o->timeout_ns / 1000), "timeout", (guint64)(o->timeout_ns / 1000), NULL);
    g_signal_connect(source, "select-stream", G_CALLBACK(is_video), NULL);
  }
  if (!strcmp(kind, "souphttpsrc")) {
    g_object_set(source, "timeout", (guint)(o->timeout_ns / GST_SECOND), "retries", 1, NULL);
    if (o->user && has(source, "user-id")) g_object_set(source, "user-id", o->user, "user-pw", o->password, NULL);
  }
}

void bus_video_only(void *rtspsrc) { g_signal_connect(rtspsrc, "select-stream", G_CALLBACK(is_video), NULL); }

// decodebin shows nothing before a demuxer says that it has no more tracks, which this one says
// only when it is told that there is one: else a slow MJPEG camera would open after minutes.
static void on_element(GstBin *bin, GstBin *sub, GstElement *e, gpointer data) {
  GstElementFactory *f = gst_element_get_factory(e);
  if (f && !strcmp(GST_OBJECT_NAME(f), "multipartdemux")) g_object_set(e, "single-stream", TRUE, NULL);
}

void bus_on_source_setup(void *bin, bus_source_options *o) {
  g_signal_connect(bin, "deep-element-added", G_CALLBACK(on_element), NULL);
  g_signal_connect_data(bin, "source-setup", G_CALLBACK(on_source_setup), o, options_free, 0);
}

int bus_seek(void *element, int64_t start, int64_t stop) {
  GstSeekType t = stop < 0 ? GST_SEEK_TYPE_NONE : GST_SEEK_TYPE_SET;
  return gst_element_seek(element, 1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, start, t, stop);
}

int bus_seek_key(void *element, int64_t start) {
  return gst_element_seek(element, 1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_BEFORE, GST_SEEK_TYPE_SET, start, GST_SEEK_TYPE_NONE, -1);
}

// ---- key frames only ----

enum { H265_RADL_N = 6, H265_RASL_R = 9, H265_BLA = 16, H265_CRA = 21, H265_PARAMETERS = 32 };

// The pictures of one pad; its streaming thread's.
typedef struct {
  GstClockTime last, period;
} even_times;

static GstPadProbeReturn even_time(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
  (void)pad;
  even_times *e = data;
  GstBuffer *b = GST_PAD_PROBE_INFO_BUFFER(info);
  if (GST_BUFFER_PTS_IS_VALID(b)) {
    e->last = GST_BUFFER_PTS(b);
  } else if (GST_CLOCK_TIME_IS_VALID(e->last) && gst_buffer_is_writable(b)) {  // a copy would not go back to its pool
    GST_BUFFER_PTS(b) = e->last += e->period;
    GST_BUFFER_DURATION(b) = e->period;
  }
  return GST_PAD_PROBE_OK;
}

void bus_even_times(void *element, int64_t period_ns) {
  GstPad *pad = gst_element_get_static_pad(element, "sink");
  even_times *e = g_new0(even_times, 1);
  e->last = GST_CLOCK_TIME_NONE;
  e->period = period_ns;
  gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, even_time, e, g_free);
  gst_object_unref(pad);
}

enum { KEYS_KEPT = 8 };  // more than a decoder holds back

typedef struct {
  GstClockTime given, length;  // PTS that the decoder was given for it, and how long a frame is
  guint leads;                 // frames that follow it in the stream and come before it in time
} key_frame;

// One decoder's key frames. Both probes run in its streaming thread.
typedef struct {
  bus_sink *sink;
  key_frame kept[KEYS_KEPT];  // of a stream without PTS
  guint n;                    // of them so far
} key_frames;

static void key_frames_clear(gpointer k) { bus_sink_unref(((key_frames *)k)->sink); }
static void key_frames_drop(gpointer k) { g_atomic_rc_box_release_full(k, key_frames_clear); }

// How H.265 lies in the buffers of a pad: 0 with start codes, 1..4 bytes of length before each
// unit, below 0 for another format.
static int h265_lengths(GstPad *pad) {
  GstCaps *caps = gst_pad_get_current_caps(pad);
  if (!caps) return -1;
  GstStructure *s = gst_caps_get_structure(caps, 0);
  int lengths = -1;
  if (gst_structure_has_name(s, "video/x-h265")) {
    const GValue *v = gst_structure_get_value(s, "codec_data");
    GstBuffer *config = v ? gst_value_get_buffer(v) : NULL;
    guint8 sizes = 0;
    const char *format = gst_structure_get_string(s, "stream-format");
    if (!format || !strcmp(format, "byte-stream"))
      lengths = 0;
    else if (config && gst_buffer_extract(config, 21, &sizes, 1) == 1)
      lengths = (sizes & 3) + 1;
  }
  gst_caps_unref(caps);
  return lengths;
}

// Gives the place of the next unit from *at on, and moves *at behind its start; n where there is none.
static gsize next_unit(const guint8 *d, gsize n, gsize *at, int lengths) {
  gsize i = *at;
  if (lengths == 0) {
    while (i + 3 < n && (d[i] || d[i + 1] || d[i + 2] != 1)) i++;
    *at = i + 3;
    return i + 3 < n ? i + 3 : n;
  }
  gsize size = 0;
  if (i + (gsize)lengths >= n) return n;
  for (int k = 0; k < lengths; k++) size = size << 8 | d[i + (gsize)k];
  i += (gsize)lengths;
  *at = size < n - i ? i + size : n;
  return i;
}

static int unit_type(guint8 first) { return first >> 1 & 63; }

// The type of the picture in a buffer of H.265; below 0 where there is none.
static int h265_picture(GstBuffer *b, int lengths) {
  GstMapInfo m;
  int type = -1;
  if (!gst_buffer_map(b, &m, GST_MAP_READ)) return -1;
  for (gsize at = 0, u; type < 0 && (u = next_unit(m.data, m.size, &at, lengths)) < m.size;)
    if (unit_type(m.data[u]) < H265_PARAMETERS) type = unit_type(m.data[u]);
  gst_buffer_unmap(b, &m);
  return type;
}

// A decoder takes a key frame within a sequence (CRA) for one whose predecessors are still to be
// sorted in before it, and loses some of them. One after a cut (BLA) has the same syntax and is
// what it is, with the frames between gone.
static GstBuffer *after_a_cut(GstBuffer *b, int lengths) {
  GstMapInfo m;
  b = gst_buffer_make_writable(b);
  if (!gst_buffer_map(b, &m, GST_MAP_READWRITE)) return b;
  for (gsize at = 0, u; (u = next_unit(m.data, m.size, &at, lengths)) < m.size;)
    if (unit_type(m.data[u]) == H265_CRA) m.data[u] = (guint8)((m.data[u] & 0x81) | H265_BLA << 1);
  gst_buffer_unmap(b, &m);
  return b;
}

// A decoder that never sees the frames between key frames has nothing to decode them from.
static GstPadProbeReturn drop_delta(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
  key_frames *k = data;
  GstBuffer *b = GST_PAD_PROBE_INFO_BUFFER(info);
  int lengths = h265_lengths(pad), type = lengths < 0 ? -1 : h265_picture(b, lengths);
  if (GST_BUFFER_FLAG_IS_SET(b, GST_BUFFER_FLAG_DELTA_UNIT)) {
    g_atomic_int_inc(&k->sink->undecoded);
    if (k->n > 0 && type >= H265_RADL_N && type <= H265_RASL_R) k->kept[(k->n - 1) % KEYS_KEPT].leads++;
    return GST_PAD_PROBE_DROP;
  }
  if (type == H265_CRA) info->data = b = after_a_cut(b, lengths);
  // A raw stream has no PTS, and the decoder would count on from the frame before.
  if (!GST_BUFFER_PTS_IS_VALID(b) && GST_BUFFER_DTS_IS_VALID(b)) {
    info->data = b = gst_buffer_make_writable(b);
    GST_BUFFER_PTS(b) = GST_BUFFER_DTS(b);
    k->kept[k->n++ % KEYS_KEPT] = (key_frame){.given = GST_BUFFER_PTS(b), .length = GST_BUFFER_DURATION_IS_VALID(b) ? GST_BUFFER_DURATION(b) : 0};
  }
  return GST_PAD_PROBE_OK;
}

// Moves a key frame of a stream without PTS behind the frames that come before it in time.
static GstPadProbeReturn correct_pts(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
  key_frames *k = data;
  GstBuffer *b = GST_PAD_PROBE_INFO_BUFFER(info);
  for (guint i = 0; i < k->n && i < KEYS_KEPT; i++) {
    key_frame *f = &k->kept[i];
    if (f->leads == 0 || f->given != GST_BUFFER_PTS(b)) continue;
    info->data = b = gst_buffer_make_writable(b);
    GST_BUFFER_PTS(b) += f->leads * f->length;
    break;
  }
  return GST_PAD_PROBE_OK;
}

static void on_decoder(GstBin *bin, GstBin *sub, GstElement *e, gpointer data) {
  GstElementFactory *f = gst_element_get_factory(e);
  const char *kind = f ? gst_element_factory_get_metadata(f, GST_ELEMENT_METADATA_KLASS) : NULL;
  if (!kind || !strstr(kind, "Decoder") || !strstr(kind, "Video")) return;
  GstPad *pad = gst_element_get_static_pad(e, "sink");
  if (!pad) return;
  // Threads over frames hold a key frame back until as many have come after it as there are threads.
  if (has(e, "max-threads")) g_object_set(e, "max-threads", 1, NULL);
  key_frames *k = g_atomic_rc_box_new0(key_frames);
  k->sink = sink_ref(data);
  gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, drop_delta, g_atomic_rc_box_acquire(k), key_frames_drop);
  gst_object_unref(pad);
  if ((pad = gst_element_get_static_pad(e, "src"))) {
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, correct_pts, g_atomic_rc_box_acquire(k), key_frames_drop);
    gst_object_unref(pad);
  }
  key_frames_drop(k);
}

static void sink_drop_closure(gpointer s, GClosure *c) { bus_sink_unref(s); }

static void on_child(const GValue *item, gpointer s) { on_decoder(NULL, NULL, GST_ELEMENT(g_value_get_object(item)), s); }

void bus_key_frames_only(void *bin, bus_sink *s) {
  GstIterator *there = gst_bin_iterate_recurse(GST_BIN(bin));
  gst_iterator_foreach(there, on_child, s);
  gst_iterator_free(there);
  g_signal_connect_data(bin, "deep-element-added", G_CALLBACK(on_decoder), sink_ref(s), sink_drop_closure, 0);
}


int64_t bus_duration(void *element) {
  gint64 d = -1;
  return gst_element_query_duration(element, GST_FORMAT_TIME, &d) ? d : -1;
}

int64_t bus_source_bytes(void *bin) {
  GstElement *source = NULL;
  gint64 n = -1;
  g_object_get(bin, "source", &source, NULL);
  if (!source) return -1;
  if (!gst_element_query_duration(source, GST_FORMAT_BYTES, &n)) n = -1;
  gst_object_unref(source);
  return n;
}

// ---- encoders ----

int bus_push(void *appsrc, const void *data, int width, int height, uint64_t pts, uint64_t duration) {
  GstVideoInfo vi;
  GstMapInfo map;
  if (!gst_video_info_set_format(&vi, GST_VIDEO_FORMAT_I420, width, height)) return GST_FLOW_ERROR;
  GstBuffer *b = gst_buffer_new_allocate(NULL, vi.size, NULL);
  if (!b || !gst_buffer_map(b, &map, GST_MAP_WRITE)) return GST_FLOW_ERROR;
  const uint8_t *in = data;
  for (int i = 0; i < 3; i++) {
    int w = i ? (width + 1) / 2 : width, h = i ? (height + 1) / 2 : height;
    CopyPlane(in, w, map.data + vi.offset[i], vi.stride[i], w, h);
    in += (ptrdiff_t)w * h;
  }
  gst_buffer_unmap(b, &map);
  GST_BUFFER_PTS(b) = pts;
  GST_BUFFER_DURATION(b) = duration;
  return gst_app_src_push_buffer(GST_APP_SRC(appsrc), b);
}

int bus_queued(void *appsrc) { return (int)gst_app_src_get_current_level_buffers(GST_APP_SRC(appsrc)); }
void bus_end(void *appsrc) { gst_app_src_end_of_stream(GST_APP_SRC(appsrc)); }

// ---- encoded pictures ----

static int64_t time_or_none(GstClockTime t) { return GST_CLOCK_TIME_IS_VALID(t) ? (int64_t)t : -1; }

int bus_pull_unit(void *appsink, int64_t wait_ns, bus_unit *u) {
  memset(u, 0, sizeof *u);
  GstAppSink *sink = GST_APP_SINK(appsink);
  GstSample *sample = gst_app_sink_try_pull_sample(sink, (GstClockTime)wait_ns);
  if (!sample) return gst_app_sink_is_eos(sink) ? BUS_EOS : BUS_NOTHING;
  GstBuffer *b = gst_sample_get_buffer(sample);
  if (b) {
    gsize size = 0;
    gst_buffer_extract_dup(b, 0, (gsize)-1, &u->data, &size);
    u->size = (int64_t)size;
    u->pts = time_or_none(GST_BUFFER_PTS(b));
    u->dts = time_or_none(GST_BUFFER_DTS(b));
    u->duration = time_or_none(GST_BUFFER_DURATION(b));
    const GstSegment *segment = gst_sample_get_segment(sample);
    guint64 at = 0;
    if (u->pts >= 0 && segment && segment->format == GST_FORMAT_TIME) {
      int sign = gst_segment_to_stream_time_full(segment, GST_FORMAT_TIME, (guint64)u->pts, &at);
      u->placed = sign != 0;
      u->at = sign < 0 ? -(int64_t)at : (int64_t)at;
    }
    u->delta = GST_BUFFER_FLAG_IS_SET(b, GST_BUFFER_FLAG_DELTA_UNIT);
  }
  gst_sample_unref(sample);
  return b ? BUS_FRAME : BUS_NOTHING;
}

char *bus_format(void *appsink) {
  GstPad *pad = gst_element_get_static_pad(appsink, "sink");
  GstCaps *caps = gst_pad_get_current_caps(pad);
  gst_object_unref(pad);
  if (!caps) return NULL;
  char *name = gst_caps_get_size(caps) > 0 ? g_strdup(gst_structure_get_name(gst_caps_get_structure(caps, 0))) : NULL;
  gst_caps_unref(caps);
  return name;
}

int bus_turned(void *appsink) {
  GstPad *pad = gst_element_get_static_pad(appsink, "sink");
  int turned = 0;
  GstEvent *e;
  for (guint i = 0; (e = gst_pad_get_sticky_event(pad, GST_EVENT_TAG, i)); i++) { // of the stream, and of the file
    int one = orientation_of(e);
    if (one >= 0) turned = one;
    gst_event_unref(e);
  }
  gst_object_unref(pad);
  return turned;
}

// ---- what is installed ----

char *bus_missing(GstMessage *m, char **words) {
  if (!gst_is_missing_plugin_message(m)) return NULL;
  *words = gst_missing_plugin_message_get_description(m);
  const GstStructure *s = gst_message_get_structure(m);
  const GValue *v = gst_structure_get_value(s, "detail");
  if (v && GST_VALUE_HOLDS_CAPS(v) && gst_caps_get_size(gst_value_get_caps(v)) > 0)
    return g_strdup(gst_structure_get_name(gst_caps_get_structure(gst_value_get_caps(v), 0)));
  return g_strdup(v && G_VALUE_HOLDS_STRING(v) ? g_value_get_string(v) : "");
}

int bus_has_element(const char *name) {
  GstElementFactory *f = gst_element_factory_find(name);
  if (f) gst_object_unref(f);
  return f != NULL;
}

void bus_begin(void) {
  gst_pb_utils_init();
  if (g_getenv("GST_DEBUG")) return;
  gst_debug_set_default_threshold(GST_LEVEL_NONE);
}

int bus_yuv_version(void) { return LIBYUV_VERSION; }

// ---- scenes ----

int bus_animate(void *object, const char *property, const double *values, int n, int fps) {
  GstControlSource *cs = gst_interpolation_control_source_new();
  g_object_set(cs, "mode", GST_INTERPOLATION_MODE_LINEAR, NULL);
  for (int i = 0; i < n; i++)
    gst_timed_value_control_source_set(GST_TIMED_VALUE_CONTROL_SOURCE(cs), gst_util_uint64_scale(i, GST_SECOND, fps), values[i]);
  int ok = gst_object_add_control_binding(object, gst_direct_control_binding_new_absolute(object, property, cs));
  gst_object_unref(cs);
  return ok;
}
