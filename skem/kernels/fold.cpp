// One pass of the E-step over a block of samples: load, expand, logits, softmax, sums.
//
// Knows nothing of Python, and needs no library but C's. A tile of samples goes through
// all steps before the next one is read, so that nothing of the block's size is written
// but what the caller asks for. Compiled once for each instruction set, of which
// WIDTH is the size of a register in bytes. The NumPy twin is core/expectation.py.

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#define X86
#include <cpuid.h>
#include <immintrin.h>
#endif

#ifndef WIDTH
#define WIDTH 16
#endif
#ifdef _WIN32
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif
#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

namespace {

// ---------------------------------------------------------------------------
// What the caller passes. Every field has eight bytes.
// ---------------------------------------------------------------------------

// q(x) of T(x) = [1, x, q(x)].
enum Kind : int64_t { NOTHING, NORM, SQUARES, PAIRS };

// What is the same for all blocks. K components of each of M mixtures, d features.
struct Model {
    int64_t itemsize;  // of the numbers that are computed with: 8 or 4
    int64_t centred;   // the form: x − μ whitened, or linear in T(x)
    int64_t kind;
    int64_t shared;    // one precision Cholesky factor for all components
    int64_t bounded;   // logits are at most 0, up to rounding
    int64_t d, K, M;
    const double *shift, *scale;  // z = (x − shift)·scale
    const double *theta;          // expanded: (M, K, 1 + d + size)
    const double *means;          // centred: (M, K, d)
    const double *cholesky;       // centred: the public shape of each mixture
    const double *constants;      // centred: (M, K), logits at the means
    const double *diagonals;      // centred: (M, K, d), of the precisions
    const double *common;         // (d, d), a factor that all logits lack, or null
    double far;                   // beyond it a sample is left to the caller
    double negligible;            // responsibilities that sums may leave out
                                  // beside the largest weight
};

enum Source : int64_t {
    F8, F4, I8, I4, I2, I1, U8, U4, U2, U1
};

// A block of n samples, and what is wanted of it. Strides are in bytes.
struct Job {
    int64_t n;
    const char *x;
    int64_t source, feature_stride, sample_stride;
    const char *weight;  // float64, or null
    int64_t weight_stride;
    const char *squares;  // float64, added to those of features, or null
    int64_t squares_feature_stride, squares_sample_stride;
    double *sums;       // (M, K, 1 + d + size), overwritten, or null
    double *loglik;     // (M,), with sums
    double *log_norm;   // (n,), of a single mixture, or null
    char *resp;         // of the type computed with, or null
    int64_t resp_component_stride, resp_sample_stride;
    int64_t *labels;    // (n,), or null: the most probable component
    int64_t *lost;      // room for M·n: the samples left to the caller, m·n + i
    char *scratch;
};

// ---------------------------------------------------------------------------
// Registers
// ---------------------------------------------------------------------------

typedef double Vf8 __attribute__((vector_size(WIDTH)));
typedef float Vf4 __attribute__((vector_size(WIDTH)));
typedef int64_t Vi8 __attribute__((vector_size(WIDTH)));
typedef int32_t Vi4 __attribute__((vector_size(WIDTH)));
typedef uint64_t Vu8 __attribute__((vector_size(WIDTH)));
typedef uint32_t Vu4 __attribute__((vector_size(WIDTH)));

template <class T> struct Simd;

template <> struct Simd<double> {
    using V = Vf8;
    using I = Vi8;
    using U = Vu8;
    static constexpr int lanes = WIDTH / 8;
    static constexpr int mantissa = 52;
    static constexpr double limit = 707.0;
    static constexpr double magic = 6755399441055744.0;  // 1.5·2⁵²
    static constexpr double ln2_high = 0.6931471803691238;
    static constexpr double ln2_low = 1.9082149292705877e-10;
    static constexpr int64_t root_half = 0x3fe6a09e667f3bcd;  // bits of √½
    static constexpr int64_t bias = 1024;
    static constexpr int64_t one = 0x3ff0000000000000;  // bits of 1
    static constexpr int64_t two_to_mantissa = 0x4330000000000000;  // bits of 2⁵²
    static constexpr double largest = 1.7976931348623157e308;
};

template <> struct Simd<float> {
    using V = Vf4;
    using I = Vi4;
    using U = Vu4;
    static constexpr int lanes = WIDTH / 4;
    static constexpr int mantissa = 23;
    static constexpr float limit = 87.0f;
    static constexpr float magic = 12582912.0f;  // 1.5·2²³
    static constexpr float ln2_high = 0.693145751953125f;
    static constexpr float ln2_low = 1.4286068203094173e-06f;
    static constexpr int32_t root_half = 0x3f3504f3;
    static constexpr int32_t bias = 128;
    static constexpr int32_t one = 0x3f800000;
    static constexpr int32_t two_to_mantissa = 0x4b000000;
    static constexpr float largest = 3.4028234663852886e38f;
};

template <class T> using Vec = typename Simd<T>::V;

template <class T> INLINE Vec<T> splat(T x) { return Vec<T>{} + x; }

template <class T> INLINE Vec<T> load(const T *p) { return *(const Vec<T> *)p; }

template <class T> INLINE void store(T *p, Vec<T> v) { *(Vec<T> *)p = v; }

template <class T> INLINE Vec<T> select(typename Simd<T>::I mask, Vec<T> a, Vec<T> b) {
    using I = typename Simd<T>::I;
    return (Vec<T>)((mask & (I)a) | (~mask & (I)b));
}

// Whether any bit is set.
template <class M> INLINE bool any(M mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX__)
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
    const Vi8 halves = (Vi8)mask;
    return (halves[0] | halves[1]) != 0;
#endif
}

template <class T> INLINE double total(Vec<T> v) {
    double sum = 0;
    for (int i = 0; i < Simd<T>::lanes; i++) sum += (double)v[i];
    return sum;
}

// (eˣ − 1 − x)/x² for |x| ≤ ½ ln 2, from the highest power: interpolated at Chebyshev
// nodes.
template <class T> struct Exp;

template <> struct Exp<double> {
    static constexpr int n = 10;
    static constexpr double c[n] = {
        2.5100569275813683e-08, 2.762032742826824e-07,  2.75572680728901e-06,
        2.4801520792572694e-05, 0.00019841269863303223, 0.0013888888917538296,
        0.008333333333330011,   0.04166666666662348,    0.16666666666666669,
        0.5000000000000001};
};

template <> struct Exp<float> {
    static constexpr int n = 5;
    static constexpr float c[n] = {0.0013926325618133463f, 0.008363292753030603f,
                                   0.041666553762567636f, 0.16666576305560638f, 0.5f};
};

// exp x of N registers in step, which hides the latency of each: exactly 0 below −limit,
// no more than that of `limit`; NaN stays.
template <class T, int N> INLINE void exponentials(Vec<T> *x) {
    using S = Simd<T>;
    using V = Vec<T>;
    using U = typename S::U;
    V n[N], f[N], y[N];
    UNROLL for (int i = 0; i < N; i++) {
        x[i] = select<T>(x[i] > S::limit, splat<T>(S::limit), x[i]);
        n[i] = x[i] * (T)1.4426950408889634 + S::magic;
        const V whole = n[i] - S::magic;
        f[i] = (x[i] - whole * S::ln2_high) - whole * S::ln2_low;
        y[i] = splat<T>(Exp<T>::c[0]);
    }
    UNROLL for (int j = 1; j < Exp<T>::n; j++)
        UNROLL for (int i = 0; i < N; i++) y[i] = y[i] * f[i] + Exp<T>::c[j];
    UNROLL for (int i = 0; i < N; i++) y[i] = y[i] * f[i] + (T)1;
    UNROLL for (int i = 0; i < N; i++) y[i] = y[i] * f[i] + (T)1;
    UNROLL for (int i = 0; i < N; i++) {
        const U bits = (U)y[i] + ((U)n[i] << S::mantissa);
        x[i] = (V)(bits & ~(U)(x[i] < -S::limit));
    }
}

// log x of positive normal numbers, in s = (m − 1)/(m + 1) with √½ ≤ m < √2.
INLINE Vf8 polynomial_log(Vf8 z) {
    Vf8 r = 0.1462323858107783 * z + 0.15331170984318102;
    r = r * z + 0.1818290573161313;
    r = r * z + 0.22222210906299858;
    r = r * z + 0.2857142862737874;
    r = r * z + 0.399999999998964;
    return r * z + 0.666666666666667;
}

INLINE Vf4 polynomial_log(Vf4 z) {
    Vf4 r = 0.23336204297658988f * z + 0.2855060945140589f;
    r = r * z + 0.4000012370752643f;
    return r * z + 0.6666666655220772f;
}

template <class T> INLINE Vec<T> logarithm(Vec<T> x) {
    using S = Simd<T>;
    using V = Vec<T>;
    using U = typename S::U;
    // The exponent plus a bias, so that a logical shift will do.
    const U raised = (U)x - S::root_half + (S::bias << S::mantissa);
    const U exponent = raised >> S::mantissa;
    const V m = (V)((U)x - ((exponent - S::bias) << S::mantissa));
    const T offset = (T)S::bias + (S::mantissa == 52 ? (T)4503599627370496.0 : (T)8388608.0);
    const V e = (V)(exponent | S::two_to_mantissa) - offset;
    const V f = m - (T)1;
    const V s = f / (m + (T)1);
    const V z = s * s;
    const V half = (T)0.5 * f * f;
    const V rest = s * (half + z * polynomial_log(z)) + e * S::ln2_low;
    return e * S::ln2_high + (f - (half - rest));
}

// ---------------------------------------------------------------------------
// Products
// ---------------------------------------------------------------------------

constexpr int GROUP = 4;   // components of a product that share loads of T
constexpr int PAIR = 2;    // registers of samples in a product

// acc[k][r] += Σ_j packed[j][k] · rows[j][r]: C components, PAIR registers of samples.
template <class T, int C>
INLINE void multiply(const T *packed, const T *rows, int64_t stride, int64_t p,
                     Vec<T> acc[C][PAIR]) {
    constexpr int lanes = Simd<T>::lanes;
    for (int64_t j = 0; j < p; j++) {
        const Vec<T> a = load(rows), b = load(rows + lanes);
        UNROLL for (int k = 0; k < C; k++) {
            acc[k][0] += packed[k] * a;
            acc[k][1] += packed[k] * b;
        }
        rows += stride;
        packed += GROUP;
    }
}

constexpr int ROWS = 2, COLUMNS = 6;  // of sums that are accumulated in registers

// acc[a][b] += Σ r_a · t_b over `n` registers, or those of a list.
template <class T, int A, int B, bool LISTED>
INLINE void accumulate(const T *r, const T *t, int64_t stride, const int32_t *list,
                       int64_t n, Vec<T> *acc, int64_t acc_stride) {
    constexpr int lanes = Simd<T>::lanes;
    Vec<T> sum[A][B];
    for (int a = 0; a < A; a++)
        for (int b = 0; b < B; b++) sum[a][b] = acc[a * acc_stride + b];
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = LISTED ? list[i] : i * lanes;
        Vec<T> left[A];
        for (int a = 0; a < A; a++) left[a] = load(r + a * stride + at);
        for (int b = 0; b < B; b++) {
            const Vec<T> right = load(t + b * stride + at);
            for (int a = 0; a < A; a++) sum[a][b] += left[a] * right;
        }
    }
    for (int a = 0; a < A; a++)
        for (int b = 0; b < B; b++) acc[a * acc_stride + b] = sum[a][b];
}

// The same for any number of columns.
template <class T, int A, bool LISTED>
void accumulate_columns(const T *r, const T *t, int64_t stride, const int32_t *list,
                        int64_t n, Vec<T> *acc, int64_t acc_stride, int64_t columns) {
    int64_t b = 0;
    for (; b + COLUMNS <= columns; b += COLUMNS)
        accumulate<T, A, COLUMNS, LISTED>(r, t + b * stride, stride, list, n, acc + b,
                                          acc_stride);
    t += b * stride;
    acc += b;
#define REST(B)                                                                     \
    case B:                                                                         \
        accumulate<T, A, B, LISTED>(r, t, stride, list, n, acc, acc_stride);        \
        break;
    switch (columns - b) { REST(1) REST(2) REST(3) REST(4) REST(5) }
#undef REST
}

// ---------------------------------------------------------------------------
// The pass
// ---------------------------------------------------------------------------

constexpr int64_t LINE = 64;          // bytes of a cache line
constexpr int64_t CACHED = 192 << 10;  // bytes that a tile may have
constexpr int64_t LARGEST = 128, SMALLEST = 32;  // samples of a tile
constexpr int64_t FLUSHED = 16;       // tiles whose sums stay in registers' precision
constexpr int64_t LISTED = 12;        // columns from which negligible registers are left out

// Products x_i x_j, j ≥ i, that q(x) has of a feature, in this order.
INLINE int64_t products(const Model &m, int64_t i) {
    switch (m.kind) {
    case SQUARES: return 1;
    case PAIRS: return m.d - i;
    default: return 0;
    }
}

INLINE int64_t n_quadratic(const Model &m) {
    int64_t size = m.kind == NORM;
    for (int64_t i = 0; i < m.d; i++) size += products(m, i);
    return size;
}

INLINE int64_t aligned(int64_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

INLINE int64_t whole_groups(int64_t n) { return (n + GROUP - 1) / GROUP * GROUP; }

// Where things are in the scratch memory, in bytes. Rows of a tile have a stride of a
// cache line more than the tile: a power of two would map all rows to the same sets.
struct Layout {
    int64_t p, tile, stride, matrix, n_acc;
    int64_t t, r, squares, c, rc, norm, lost, list, packed, common, acc, size;

    explicit Layout(const Model &m) {
        p = 1 + m.d + n_quadratic(m);
        const bool matrices = m.centred && m.kind == PAIRS;
        const int64_t rows = m.K + (m.centred ? 3 * m.d : p);
        tile = LARGEST;
        while (tile > SMALLEST && rows * tile * m.itemsize > CACHED) tile /= 2;
        stride = tile + LINE / m.itemsize;
        matrix = whole_groups(m.d) * (m.d + GROUP);
        n_acc = matrices ? 1 + m.d + (m.d + 1) * (m.d + COLUMNS) : p;
        const int64_t row = stride * m.itemsize;
        size = 0;
        t = take((m.centred ? 1 + m.d : p) * row);
        r = take(m.K * row);
        squares = take(m.d * row);
        c = take(m.centred ? m.d * row : 0);
        rc = take(m.centred ? (1 + m.d) * row : 0);
        norm = take(4 * row);
        lost = take(tile);
        list = take(tile * 4);
        const int64_t factors = m.M * (m.shared ? 1 : m.K);
        packed = take(m.itemsize * (matrices    ? factors * matrix
                                    : m.centred ? 0
                                                : m.M * whole_groups(m.K) * p));
        common = take(m.common ? matrix * m.itemsize : 0);
        acc = take(m.M * m.K * n_acc * WIDTH);
        size += LINE;
    }

    int64_t take(int64_t bytes) {
        const int64_t at = size;
        size += aligned(bytes);
        return at;
    }
};

template <class T> class Pass {
    using V = Vec<T>;
    static constexpr int lanes = Simd<T>::lanes;
    static constexpr int step = PAIR * lanes;

    const Model &model;
    const Job &job;
    const Layout at;
    const int64_t d, K, M, stride;
    char *scratch;
    T *t, *r, *squares, *c, *rc, *packed, *common;
    T *total_, *log_norm, *factor, *weight;
    uint8_t *lost;
    int32_t *list;
    V *acc;
    int64_t start = 0, n = 0, used = 0;  // of the tile: first sample, samples, padded
    int64_t n_lost = 0;
    bool any_dead = false;
    T negligible;

    template <class X> X *place(int64_t offset) { return (X *)(scratch + offset); }

  public:
    Pass(const Model &m, const Job &j)
        : model(m), job(j), at(m), d(m.d), K(m.K), M(m.M), stride(at.stride) {
        scratch = (char *)(((uintptr_t)j.scratch + LINE - 1) / LINE * LINE);
        t = place<T>(at.t);
        r = place<T>(at.r);
        squares = place<T>(at.squares);
        c = place<T>(at.c);
        rc = place<T>(at.rc);
        packed = place<T>(at.packed);
        common = place<T>(at.common);
        total_ = place<T>(at.norm);
        log_norm = total_ + stride;
        factor = log_norm + stride;
        weight = factor + stride;
        lost = place<uint8_t>(at.lost);
        list = place<int32_t>(at.list);
        acc = place<V>(at.acc);
        negligible = (T)m.negligible;
    }

    int64_t run() {
        pack();
        for (int64_t s = 0; s < at.tile; s++) {
            t[s] = 1;
            lost[s] = 0;
            weight[s] = 1;
        }
        if (job.sums) {
            for (int64_t i = 0; i < M * K * at.n_acc; i++) acc[i] = V{};
            for (int64_t i = 0; i < M * K * at.p; i++) job.sums[i] = 0;
            for (int64_t m = 0; m < M; m++) job.loglik[m] = 0;
        }
        int64_t tiles = 0;
        for (start = 0; start < job.n; start += at.tile) {
            n = job.n - start < at.tile ? job.n - start : at.tile;
            used = (n + step - 1) / step * step;
            load_tile();
            for (int64_t m = 0; m < M; m++) {
                softmax(m);
                if (job.sums) model.centred ? sum_centred(m) : sum_expanded(m);
                write(m);
            }
            // Sums of single precision are not left in it for long.
            if (job.sums && sizeof(T) == 4 && ++tiles % FLUSHED == 0) flush();
        }
        if (job.sums) flush();
        return n_lost;
    }

  private:
    // Groups of columns of an upper triangular matrix, each with the rows it has.
    void pack_upper(const double *upper, T *out) {
        for (int64_t j = 0; j < d; j += GROUP)
            for (int64_t i = 0; i < (j + GROUP < d ? j + GROUP : d); i++)
                for (int64_t g = 0; g < GROUP; g++)
                    *out++ = j + g < d && i <= j + g ? (T)upper[i * d + j + g] : (T)0;
    }

    void pack() {
        if (model.common) pack_upper(model.common, common);
        if (model.centred) {
            if (model.kind == PAIRS)
                for (int64_t k = 0; k < M * (model.shared ? 1 : K); k++)
                    pack_upper(model.cholesky + k * d * d, packed + k * at.matrix);
            return;
        }
        T *out = packed;
        for (int64_t m = 0; m < M; m++)
            for (int64_t k = 0; k < K; k += GROUP)
                for (int64_t j = 0; j < at.p; j++)
                    for (int64_t g = 0; g < GROUP; g++)
                        *out++ = k + g < K ? (T)model.theta[(m * K + k + g) * at.p + j] : (T)0;
    }

    // --- Load ---------------------------------------------------------------

    // A number of features that is known makes a tile of rows a few shuffles.
    template <class X, int D> void load_rows(T *z, const char *x, int64_t by_sample) {
        const int64_t features = D ? D : d;
        for (int64_t s = 0; s < n; s++)
            for (int64_t i = 0; i < features; i++)
                z[i * stride + s] = (T)((const X *)(x + s * by_sample))[i];
    }

    template <class X> void load_from(T *z) {
        const char *x = job.x + start * job.sample_stride;
        const int64_t by_feature = job.feature_stride, by_sample = job.sample_stride;
        const bool rows = by_feature == (int64_t)sizeof(X) || d == 1;
        const bool packed = by_sample == d * (int64_t)sizeof(X);
        if (rows && packed && d == 1)
            load_rows<X, 1>(z, x, sizeof(X));
        else if (rows && packed && d == 2)
            load_rows<X, 2>(z, x, 2 * sizeof(X));
        else if (rows && packed && d == 3)
            load_rows<X, 3>(z, x, 3 * sizeof(X));
        else if (rows)
            load_rows<X, 0>(z, x, by_sample);
        else
            for (int64_t i = 0; i < d; i++)
                for (int64_t s = 0; s < n; s++)
                    z[i * stride + s] = (T) * (const X *)(x + i * by_feature + s * by_sample);
    }

    void load_tile() {
        T *z = t + stride;
        switch (job.source) {
        case F8: load_from<double>(z); break;
        case F4: load_from<float>(z); break;
        case I8: load_from<int64_t>(z); break;
        case I4: load_from<int32_t>(z); break;
        case I2: load_from<int16_t>(z); break;
        case I1: load_from<int8_t>(z); break;
        case U8: load_from<uint64_t>(z); break;
        case U4: load_from<uint32_t>(z); break;
        case U2: load_from<uint16_t>(z); break;
        case U1: load_from<uint8_t>(z); break;
        }
        if (any_dead)
            for (int64_t s = 0; s < at.tile; s++) lost[s] = 0;
        any_dead = false;
        for (int64_t i = 0; i < d; i++) {
            T *row = z + i * stride;
            const V shift = splat<T>((T)model.shift[i]), scale = splat<T>((T)model.scale[i]);
            for (int64_t s = n; s < used; s++) row[s] = (T)model.shift[i];
            V beyond{};
            for (int64_t s = 0; s < used; s += lanes) {
                const V x = (load(row + s) - shift) * scale;
                store(row + s, x);
                // Infinite or NaN squares make these NaN.
                beyond += (x * x) * (T)0;
            }
            if (any(beyond != V{})) bury(row);
        }
        load_squares();
        if (!model.centred) expand(z);
        load_weights();
    }

    // Leave out samples whose squares are beyond the range, in all that follows.
    void bury(T *row) {
        any_dead = true;
        for (int64_t s = 0; s < n; s++)
            if (!(row[s] * row[s] <= Simd<T>::largest)) lost[s] = 1;
    }

    void load_squares() {
        if (any_dead)
            for (int64_t s = 0; s < n; s++)
                if (lost[s])
                    for (int64_t i = 0; i < d; i++) t[(1 + i) * stride + s] = 0;
        if (!job.squares) return;
        for (int64_t i = 0; i < d; i++) {
            const char *from = job.squares + i * job.squares_feature_stride +
                               start * job.squares_sample_stride;
            T *row = squares + i * stride;
            for (int64_t s = 0; s < n; s++)
                row[s] = (T) * (const double *)(from + s * job.squares_sample_stride);
            for (int64_t s = n; s < used; s++) row[s] = 0;
        }
    }

    void load_weights() {
        if (job.weight) {
            const char *from = job.weight + start * job.weight_stride;
            for (int64_t s = 0; s < n; s++)
                weight[s] = (T) * (const double *)(from + s * job.weight_stride);
        }
        for (int64_t s = n; s < used; s++) weight[s] = 0;
        if (!job.weight) return;
        V largest{};
        for (int64_t s = 0; s < used; s += lanes)
            largest = select<T>(load(weight + s) > largest, load(weight + s), largest);
        negligible = 0;
        for (int i = 0; i < lanes; i++)
            negligible = largest[i] > negligible ? largest[i] : negligible;
        negligible *= (T)model.negligible;
    }

    void expand(const T *z) {
        T *q = t + (1 + d) * stride;
        if (model.kind == NORM)
            for (int64_t s = 0; s < used; s += lanes) {
                V sum{};
                for (int64_t i = 0; i < d; i++) {
                    const V x = load(z + i * stride + s);
                    sum += x * x;
                }
                store(q + s, sum);
            }
        else
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = i, end = i + products(model, i); j < end; j++) {
                    const T *a = z + i * stride, *b = z + j * stride;
                    for (int64_t s = 0; s < used; s += lanes)
                        store(q + s, load(a + s) * load(b + s));
                    q += stride;
                }
        if (job.squares) add_squares();
    }

    void add_squares() {
        T *q = t + (1 + d) * stride;
        for (int64_t i = 0; i < d && model.kind != NOTHING; i++) {
            for (int64_t s = 0; s < used; s += lanes)
                store(q + s, load(q + s) + load(squares + i * stride + s));
            q += products(model, i) * stride;
        }
    }

    // --- Softmax ------------------------------------------------------------

    // Unnormalised responsibilities, and what normalises them.
    void softmax(int64_t m) {
        const bool labels = !job.sums && !job.log_norm && !job.resp;
        const bool direct = model.bounded && sizeof(T) == 8 && !model.centred && !labels;
        if (model.centred) {
            model.kind == PAIRS ? whiten(m) : standardise(m);
            if (job.squares) widen(m);
        } else {
            const T *theta = packed + m * whole_groups(K) * at.p;
            for (int64_t s = 0; s < used; s += step)
                direct ? logits<true>(theta, s) : logits<false>(theta, s);
        }
        if (job.labels) label(direct);
        if (labels) return;
        if (!direct) shifted_exponentials();
        normalise(m, direct);
    }

    template <bool DIRECT> void logits(const T *theta, int64_t s) {
        V sums[PAIR] = {};
        for (int64_t k = 0; k < K; k += GROUP) {
            switch (K - k) {
            case 1: logits_of<1, DIRECT>(theta, k, s, sums); break;
            case 2: logits_of<2, DIRECT>(theta, k, s, sums); break;
            case 3: logits_of<3, DIRECT>(theta, k, s, sums); break;
            default: logits_of<GROUP, DIRECT>(theta, k, s, sums);
            }
            theta += GROUP * at.p;
        }
        if (DIRECT)
            for (int i = 0; i < PAIR; i++) store(total_ + s + i * lanes, sums[i]);
    }

    template <int C, bool DIRECT>
    inline __attribute__((always_inline)) void logits_of(const T *theta, int64_t k, int64_t s, V *sums) {
        V l[C][PAIR];
        for (int g = 0; g < C; g++)
            for (int i = 0; i < PAIR; i++) l[g][i] = splat<T>(theta[g]);
        multiply<T, C>(theta + GROUP, t + stride + s, stride, at.p - 1, l);
        if (DIRECT) {
            constexpr int half = C > 2 ? C / 2 : C;
            exponentials<T, half * PAIR>(l[0]);
            if (half < C) exponentials<T, (C - half) * PAIR>(l[half]);
            UNROLL for (int g = 0; g < C; g++)
                UNROLL for (int i = 0; i < PAIR; i++) sums[i] += l[g][i];
        }
        UNROLL for (int g = 0; g < C; g++)
            UNROLL for (int i = 0; i < PAIR; i++)
                store(r + (k + g) * stride + s + i * lanes, l[g][i]);
    }

    // Logits −½|Uᵀ(z − μ)|², of factors U that are matrices.
    void whiten(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            centre(m, k);
            const T *upper = packed + (model.shared ? m : m * K + k) * at.matrix;
            squared_norms(upper, c, r + k * stride, (T)model.constants[m * K + k]);
        }
    }

    void centre(int64_t m, int64_t k) {
        const double *means = model.means + (m * K + k) * d;
        for (int64_t i = 0; i < d; i++) {
            const V mean = splat<T>((T)means[i]);
            for (int64_t s = 0; s < used; s += lanes)
                store(c + i * stride + s, load(t + (1 + i) * stride + s) - mean);
        }
    }

    // constant − ½|Uᵀx|² of each sample.
    void squared_norms(const T *upper, const T *x, T *out, T constant) {
        for (int64_t s = 0; s < used; s += step) {
            const T *columns = upper;
            V sums[PAIR] = {};
            for (int64_t j = 0; j < d; j += GROUP) {
                const int64_t rows = j + GROUP < d ? j + GROUP : d;
                V y[GROUP][PAIR] = {};
                multiply<T, GROUP>(columns, x + s, stride, rows, y);
                for (int g = 0; g < GROUP; g++)
                    for (int i = 0; i < PAIR; i++) sums[i] += y[g][i] * y[g][i];
                columns += GROUP * rows;
            }
            for (int i = 0; i < PAIR; i++)
                store(out + s + i * lanes, constant - (T)0.5 * sums[i]);
        }
    }

    // The same for factors that are a number for each feature, or one.
    void standardise(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            const int64_t mk = m * K + k;
            const double *means = model.means + mk * d;
            const bool each = model.kind == SQUARES;
            const double *u = model.cholesky + mk * (each ? d : 1);
            for (int64_t s = 0; s < used; s += lanes) {
                V sum{};
                for (int64_t i = 0; i < d; i++) {
                    const V y = (load(t + (1 + i) * stride + s) - (T)means[i]) *
                                (T)(each ? u[i] : *u);
                    sum += y * y;
                }
                store(r + k * stride + s, (T)model.constants[mk] - (T)0.5 * sum);
            }
        }
    }

    // −½ Σ_i P_ii w_i²/12.
    void widen(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            const double *diagonal = model.diagonals + (m * K + k) * d;
            T *row = r + k * stride;
            for (int64_t s = 0; s < used; s += lanes) {
                V sum{};
                for (int64_t i = 0; i < d; i++)
                    sum += (T)diagonal[i] * load(squares + i * stride + s);
                store(row + s, load(row + s) - (T)0.5 * sum);
            }
        }
    }

    V maximum(int64_t s) {
        V most = load(r + s);
        for (int64_t k = 1; k < K; k++) {
            const V l = load(r + k * stride + s);
            most = select<T>(l > most, l, most);
        }
        return most;
    }

    void shifted_exponentials() {
        for (int64_t s = 0; s < used; s += lanes) {
            const V most = maximum(s);
            V sum{};
            int64_t k = 0;
            for (; k + GROUP <= K; k += GROUP) exponentials_of<GROUP>(k, s, most, sum);
            for (; k < K; k++) exponentials_of<1>(k, s, most, sum);
            store(total_ + s, sum);
            store(log_norm + s, most);
        }
    }

    template <int C>
    inline __attribute__((always_inline)) void exponentials_of(int64_t k, int64_t s, V most,
                                                               V &sum) {
        V e[C];
        UNROLL for (int g = 0; g < C; g++) e[g] = load(r + (k + g) * stride + s) - most;
        exponentials<T, C>(e);
        UNROLL for (int g = 0; g < C; g++) {
            store(r + (k + g) * stride + s, e[g]);
            sum += e[g];
        }
    }

    // The most probable component, of logits or of what is proportional to their
    // exponentials; the first of equals.
    void label(bool direct) {
        const bool alone = !job.sums && !job.log_norm && !job.resp;
        const T far = model.bounded ? (T)model.far : Simd<T>::largest;
        for (int64_t s = 0; s < n; s++) {
            T most = r[s];
            int64_t best = 0;
            bool defined = most == most;
            for (int64_t k = 1; k < K; k++) {
                const T l = r[k * stride + s];
                defined = defined && l == l;
                if (l > most) {
                    most = l;
                    best = k;
                }
            }
            job.labels[start + s] = best;
            if (alone && (lost[s] || !defined || !(most > -far && most < far)))
                job.lost[n_lost++] = start + s;
        }
        (void)direct;
    }

    void normalise(int64_t m, bool direct) {
        const bool points = job.sums && !job.weight && n == used && !any_dead;
        if (!points || !add_logarithms(m, direct)) normalise_each(m, direct);
        for (int64_t k = 0; k < K; k++) {
            T *row = r + k * stride;
            for (int64_t s = 0; s < used; s += lanes)
                store(row + s, load(row + s) * load(factor + s));
        }
    }

    // Of a whole tile without weights: the sum of logarithms is that of a product, whose
    // exponents are added up apart. False, with nothing done, if a sample is far.
    bool add_logarithms(int64_t m, bool direct) {
        using I = typename Simd<T>::I;
        using S = Simd<T>;
        const V one = splat<T>((T)1), far = splat<T>(model.bounded ? (T)model.far : S::largest);
        V least = direct ? -far : splat<T>(-S::limit / 2);
        exponentials<T, 1>(&least);
        const V most = one / least;
        V product = one, maxima{};
        I exponents{}, good = ~I{};
        for (int64_t s = 0; s < used; s += lanes) {
            const V sum = load(total_ + s);
            good &= (sum > least) & (sum < most);
            if (!direct) {
                const V top = load(log_norm + s);
                good &= (top < far) & (top > -far);
                maxima += top;
            }
            product *= (V)(((I)sum & ~(~I{} << S::mantissa)) | S::one);
            exponents += ((I)sum - S::one) >> S::mantissa;
            store(factor + s, one / sum);
        }
        if (any(~good)) return false;
        double loglik = total<T>(logarithm<T>(product) + maxima), whole = 0;
        for (int i = 0; i < lanes; i++) whole += (double)exponents[i];
        job.loglik[m] += loglik + 0.6931471805599453 * whole;
        return true;
    }

    void normalise_each(int64_t m, bool direct) {
        using I = typename Simd<T>::I;
        const V far = splat<T>(model.bounded ? (T)model.far : Simd<T>::largest);
        const V zero{}, one = splat<T>((T)1);
        V loglik{};
        I bad{};
        for (int64_t s = 0; s < used; s += lanes) {
            const V sum = load(total_ + s);
            V norm = logarithm<T>(sum);
            if (!direct) norm += load(log_norm + s);
            // False for NaN as well. A sum of zero or infinity is far.
            const I good = (norm < far) & (norm > -far) & (sum < Simd<T>::largest) & (sum > zero);
            const V w = load(weight + s);
            bad |= ~good;
            loglik += select<T>(good, norm * w, zero);
            store(log_norm + s, norm);
            store(factor + s, select<T>(good, (job.sums ? w : one) / sum, zero));
        }
        double sum = total<T>(loglik);
        if (any(bad) || any_dead) sum = leave(m, far[0]);
        if (job.sums) job.loglik[m] += sum;
    }

    // Give samples that are far to the caller; return the log-likelihood of the others.
    double leave(int64_t m, T far) {
        double loglik = 0;
        for (int64_t s = 0; s < used; s++) {
            const T norm = log_norm[s], sum = total_[s];
            if (!lost[s] && norm < far && norm > -far && sum > 0 && sum < Simd<T>::largest) {
                loglik += (double)norm * weight[s];
                continue;
            }
            for (int64_t k = 0; k < K; k++) r[k * stride + s] = 0;
            if (s < n) job.lost[n_lost++] = m * job.n + start + s;
        }
        return loglik;
    }

    // --- Sums ---------------------------------------------------------------

    // Registers in which a responsibility of one of two rows counts.
    int64_t listed(const T *one, const T *other) {
        const V least = splat<T>(negligible);
        int64_t found = 0;
        for (int64_t s = 0; s < used; s += lanes) {
            list[found] = (int32_t)s;
            found += any((load(one + s) > least) | (load(other + s) > least));
        }
        return found;
    }

    template <int A> void sum_rows(const T *row, V *to) {
        if (at.p >= LISTED) {
            const int64_t found = listed(row, row + (A - 1) * stride);
            if (found)
                accumulate_columns<T, A, true>(row, t, stride, list, found, to, at.n_acc, at.p);
        } else {
            accumulate_columns<T, A, false>(row, t, stride, list, used / lanes, to, at.n_acc,
                                            at.p);
        }
    }

    void sum_expanded(int64_t m) {
        V *to = acc + m * K * at.n_acc;
        int64_t k = 0;
        for (; k + ROWS <= K; k += ROWS) sum_rows<ROWS>(r + k * stride, to + k * at.n_acc);
        if (k < K) sum_rows<1>(r + k * stride, to + k * at.n_acc);
    }

    // About the component's mean, of the registers of samples that count.
    void sum_centred(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            const T *row = r + k * stride;
            const int64_t found = listed(row, row);
            if (!found) continue;
            const double *means = model.means + (m * K + k) * d;
            V *to = acc + (m * K + k) * at.n_acc;
            V count = to[0];
            for (int64_t l = 0; l < found; l++) {
                const V weight = load(row + list[l]);
                store(rc + l * lanes, weight);
                count += weight;
            }
            to[0] = count;
            for (int64_t i = 0; i < d; i++) {
                const V mean = splat<T>((T)means[i]);
                V first = to[1 + i];
                for (int64_t l = 0; l < found; l++) {
                    const V y = load(t + (1 + i) * stride + list[l]) - mean;
                    const V weighted = y * load(rc + l * lanes);
                    store(c + i * stride + l * lanes, y);
                    store(rc + (1 + i) * stride + l * lanes, weighted);
                    first += weighted;
                }
                to[1 + i] = first;
            }
            model.kind == PAIRS ? sum_pairs(to + 1 + d, found) : sum_squares(to + 1 + d, found);
        }
    }

    // Rows of the upper triangle, two at a time; a stride of d + COLUMNS.
    void sum_pairs(V *to, int64_t found) {
        const int64_t width = d + COLUMNS;
        int64_t i = 0;
        for (; i + ROWS <= d; i += ROWS)
            accumulate_columns<T, ROWS, false>(rc + (1 + i) * stride, c + i * stride, stride,
                                               list, found, to + i * width + i, width, d - i);
        if (i < d)
            accumulate_columns<T, 1, false>(rc + (1 + i) * stride, c + i * stride, stride, list,
                                            found, to + i * width + i, width, d - i);
        if (job.squares)
            for (i = 0; i < d; i++) to[i * width + i] += widths(i, found);
    }

    void sum_squares(V *to, int64_t found) {
        for (int64_t i = 0; i < d; i++) {
            V sum{};
            for (int64_t l = 0; l < found; l++)
                sum += load(c + i * stride + l * lanes) * load(rc + (1 + i) * stride + l * lanes);
            if (job.squares) sum += widths(i, found);
            to[model.kind == SQUARES ? i : 0] += sum;
        }
    }

    V widths(int64_t i, int64_t found) {
        V sum{};
        for (int64_t l = 0; l < found; l++)
            sum += load(rc + l * lanes) * load(squares + i * stride + list[l]);
        return sum;
    }

    // Add the lanes of the accumulators to the sums.
    void flush() {
        const bool matrices = model.centred && model.kind == PAIRS;
        const int64_t single = matrices ? 1 + d : at.p;
        double *out = job.sums;
        V *from = acc;
        for (int64_t k = 0; k < M * K; k++, from += at.n_acc) {
            for (int64_t j = 0; j < single; j++) *out++ += empty(from[j]);
            if (matrices)
                for (int64_t i = 0; i < d; i++)
                    for (int64_t j = i; j < d; j++)
                        *out++ += empty(from[1 + d + i * (d + COLUMNS) + j]);
        }
    }

    double empty(V &v) {
        const double sum = total<T>(v);
        v = V{};
        return sum;
    }

    // --- What else is asked for -----------------------------------------------

    void write(int64_t m) {
        if (job.log_norm) {
            double *out = job.log_norm + start;
            if (model.common) {
                squared_norms(common, t + stride, total_, (T)0);
                for (int64_t s = 0; s < n; s++)
                    out[s] = (double)log_norm[s] + (double)total_[s];
            } else {
                for (int64_t s = 0; s < n; s++) out[s] = (double)log_norm[s];
            }
        }
        if (!job.resp) return;
        for (int64_t k = 0; k < K; k++) {
            char *out = job.resp + (m * K + k) * job.resp_component_stride +
                        start * job.resp_sample_stride;
            const T *row = r + k * stride;
            for (int64_t s = 0; s < n; s++) *(T *)(out + s * job.resp_sample_stride) = row[s];
        }
    }
};

}  // namespace

// The sizes of what the caller passes: whether it was written for this library.
EXPORT int64_t skem_sizes(void) { return (int64_t)sizeof(Model) << 32 | (int64_t)sizeof(Job); }

// Bytes of scratch memory that a pass needs.
EXPORT int64_t skem_scratch(const Model *model) { return Layout(*model).size; }

// Do the pass; return how many samples are left to the caller.
EXPORT int64_t skem_pass(const Model *model, const Job *job) {
    return model->itemsize == 8 ? Pass<double>(*model, *job).run()
                                : Pass<float>(*model, *job).run();
}

// exp and log of n numbers, for tests: n is a multiple of all registers' lanes.
EXPORT void skem_functions(int64_t itemsize, int64_t n, const void *x, void *exps, void *logs) {
    if (itemsize == 8)
        for (int64_t i = 0; i < n; i += Simd<double>::lanes) {
            Vf8 v, e, l;
            __builtin_memcpy(&v, (const double *)x + i, sizeof v);
            e = v;
            exponentials<double, 1>(&e);
            l = logarithm<double>(v);
            __builtin_memcpy((double *)exps + i, &e, sizeof e);
            __builtin_memcpy((double *)logs + i, &l, sizeof l);
        }
    else
        for (int64_t i = 0; i < n; i += Simd<float>::lanes) {
            Vf4 v, e, l;
            __builtin_memcpy(&v, (const float *)x + i, sizeof v);
            e = v;
            exponentials<float, 1>(&e);
            l = logarithm<float>(v);
            __builtin_memcpy((float *)exps + i, &e, sizeof e);
            __builtin_memcpy((float *)logs + i, &l, sizeof l);
        }
}

// Which of the libraries this machine can run: 1 for the baseline, 3 and 4 for x86-64-v3
// and -v4. Asked of the processor itself, as the compilers' own functions for it are in
// libraries that Windows lacks.
EXPORT int64_t skem_level(void) {
#ifdef X86
    constexpr auto bit = [](int i) { return 1u << i; };
    const auto all = [](unsigned of, unsigned wanted) { return (of & wanted) == wanted; };
    unsigned a, b, c, d, saved, upper;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 2;
    // FMA, MOVBE, OSXSAVE, AVX and F16C
    if (!all(c, bit(12) | bit(22) | bit(27) | bit(28) | bit(29))) return 2;
    __asm__("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
    // The system saves registers of 16 and 32 bytes.
    if (!all(saved, bit(1) | bit(2))) return 2;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !all(c, bit(5))) return 2;  // LZCNT
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 2;
    if (!all(b, bit(3) | bit(5) | bit(8))) return 2;  // BMI1, AVX2, BMI2
    // It saves those of 64 bytes, and their masks; AVX-512 F, DQ, CD, BW and VL
    const bool wide = all(saved, bit(5) | bit(6) | bit(7));
    return wide && all(b, bit(16) | bit(17) | bit(28) | bit(30) | bit(31)) ? 4 : 3;
#else
    return 1;
#endif
}
