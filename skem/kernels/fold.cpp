// One pass of the E-step over a block of samples: load, expand, logits, softmax, sums.
//
// Knows nothing of Python, and needs no library but C's. A tile of samples goes through
// all steps before the next one is read, so that nothing of the block's size is written
// but what the caller asks for. Compiled once for each instruction set, of which
// WIDTH is the size of a register in bytes. The NumPy twin is core/mixture/expectation.py.

#include <stdint.h>

#ifdef _WIN32
// The system's header makes macros of names such as near and far.
struct Slot {
    void *content = nullptr;
};
#define SYSTEM extern "C" __declspec(dllimport)
SYSTEM void __stdcall AcquireSRWLockExclusive(Slot *);
SYSTEM void __stdcall ReleaseSRWLockExclusive(Slot *);
SYSTEM int __stdcall SleepConditionVariableSRW(Slot *, Slot *, unsigned long, unsigned long);
SYSTEM void __stdcall WakeAllConditionVariable(Slot *);
SYSTEM void *__stdcall CreateThread(void *, uintptr_t, unsigned long(__stdcall *)(void *), void *,
                                    unsigned long, unsigned long *);
SYSTEM int __stdcall CloseHandle(void *);
#else
#include <pthread.h>
#include <signal.h>
#endif

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

// q(x) of T(x) = [1, x, q(x)]. Where it is masked it has the m_i at its end, which are 1,
// or 0 and x_i = 0 where a value is NaN.
enum Kind : int64_t { NOTHING, NORM, SQUARES, PAIRS, MASKED_NORM, MASKED_SQUARES };

// What is the same for all blocks. K components of each of M mixtures, d features.
struct Model {
    int64_t itemsize;  // of the numbers that are computed with: 8 or 4
    int64_t centred;   // the form: x − μ whitened, or linear in T(x)
    int64_t kind;
    int64_t shared;    // one precision Cholesky factor for all components; sums of q(x) of t
                       // components in the linear form are then of all, with the first one
    int64_t bounded;   // logits are at most 0, up to rounding
    int64_t d, K, M;
    const double *shift, *scale;  // z = (x − shift)·scale
    const double *theta;          // expanded: (M, K, 1 + d + size)
    const double *means;          // (M, K, d); where linear, null if rows keep their order
    const double *cholesky;       // centred: the public shape of each mixture
    const double *constants;      // centred: (M, K), logits at the means
    const double *diagonals;      // centred: (M, K, d), of the precisions
    const double *common;         // (d, d), a factor that all logits lack, or null
    double far;                   // beyond it a sample is left to the caller
    double negligible;            // responsibilities that sums may leave out
                                  // beside the largest weight
    const double *tails;          // of t components: (M, K, N_TAILS), or null
    const double *cells;          // of PAIRS, (M, K, d), or null: NaN are then values that
                                  // are missing, each of which adds this to logits
};

// A component of a t mixture. With c the logit at its location, δ = 2 (c − logit) is a
// squared distance, and peak − e log(1 + δ/ν) the logit of the t. Beyond `reach` its
// density is level. BELLS are Gaussian, and FLAT ones, noise, what their logit says.
enum Tails : int64_t { C, NU, E, PEAK, REACH, SHAPE, N_TAILS };
enum Shape : int64_t { HEAVY, BELL, FLAT };

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
    const double *atoms;  // or instead, (d, 1 + 2 n_atoms): what is added to those of a
    int64_t n_atoms;      // feature, then values with what is added where it has these
    double *sums;       // (M, K, 1 + d + size), overwritten, or null
    double *loglik;     // (M,), with sums
    double *log_norm;   // (n,), of a single mixture, or null
    char *resp;         // of the type computed with, or null
    int64_t resp_component_stride, resp_sample_stride;
    int64_t *labels;    // (n,), or null: the most probable component
    int64_t *lost;      // room for M·n: the samples left to the caller, m·n + i
    char *scratch;
    double *owned;  // of t components, with sums: (M, K, 3), overwritten. Σ r, and of
                    // r log(1 + δ/ν) + r u, and of r beyond reach; the sums are of r u

    bool widened() const { return squares || atoms; }
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

// A number that is known when this is compiled.
template <int N> struct Constant {
    static constexpr int value = N;
};

template <> struct Simd<double> {
    using V = Vf8;
    using I = Vi8;
    using U = Vu8;
    using W = uint64_t;
    static constexpr int lanes = WIDTH / 8;
    static constexpr int mantissa = 52;
    static constexpr double limit = 707.0;
    static constexpr double underflow = 600;  // nats down to which sums are precise
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
    using W = uint32_t;
    static constexpr int lanes = WIDTH / 4;
    static constexpr int mantissa = 23;
    static constexpr float limit = 87.0f;
    static constexpr float underflow = 60.0f;
    static constexpr float magic = 12582912.0f;  // 1.5·2²³
    static constexpr float ln2_high = 0.693145751953125f;
    static constexpr float ln2_low = 1.4286068203094173e-06f;
    static constexpr int32_t root_half = 0x3f3504f3;
    static constexpr int32_t bias = 128;
    static constexpr int32_t one = 0x3f800000;
    static constexpr int32_t two_to_mantissa = 0x4b000000;
    static constexpr float largest = 3.4028234663852886e38f;
};

template <bool FIRST, class A, class B> struct Choice { using type = A; };
template <class A, class B> struct Choice<false, A, B> { using type = B; };

template <class T> using Vec = typename Simd<T>::V;

template <class T> INLINE Vec<T> splat(T x) { return Vec<T>{} + x; }

template <class T> INLINE Vec<T> load(const T *p) { return *(const Vec<T> *)p; }

template <class T> INLINE void store(T *p, Vec<T> v) { *(Vec<T> *)p = v; }

typedef double Anywhere __attribute__((vector_size(WIDTH), aligned(8)));

INLINE Vf8 load_anywhere(const double *p) { return *(const Anywhere *)p; }

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

template <int... I> struct Places {};
template <int N, int... I> struct Upto : Upto<N - 1, N - 1, I...> {};
template <int... I> struct Upto<0, I...> { using type = Places<I...>; };

// Sums of pairs of lanes that are H apart: those of a, and of b between them.
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLED
template <int H, class V, int... I> INLINE V paired(V a, V b, Places<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(a, b, (I / H % 2 ? n + I - H : I)...) +
           __builtin_shufflevector(a, b, (I / H % 2 ? n + I : I + H)...);
}
#endif
#endif

// The sums of as many registers as one has lanes.
template <class T, int H = 1> INLINE Vec<T> totals(Vec<T> *v) {
    constexpr int lanes = Simd<T>::lanes;
#ifdef SHUFFLED
    if constexpr (H < lanes) {
        UNROLL for (int i = 0; i < lanes / H / 2; i++)
            v[i] = paired<H>(v[2 * i], v[2 * i + 1], typename Upto<lanes>::type());
        return totals<T, 2 * H>(v);
    }
    return v[0];
#else
    Vec<T> sums;
    for (int i = 0; i < lanes; i++) sums[i] = (T)total<T>(v[i]);
    return sums;
#endif
}

// Σ a_i b_i of N rows b, of n numbers, that are so far apart.
template <int N>
INLINE void dots(const double *a, const double *b, int64_t apart, int64_t n, double *out) {
    constexpr int lanes = WIDTH / 8;
    Vf8 sums[N] = {};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const Vf8 x = load_anywhere(a + i);
        UNROLL for (int r = 0; r < N; r++) sums[r] += x * load_anywhere(b + r * apart + i);
    }
    UNROLL for (int r = 0; r < N; r++) out[r] = total<double>(sums[r]);
    for (; i < n; i++)
        UNROLL for (int r = 0; r < N; r++) out[r] += a[i] * b[r * apart + i];
}

INLINE double dot(const double *a, const double *b, int64_t n) {
    double sum;
    dots<1>(a, b, 0, n, &sum);
    return sum;
}

// Cumulate n numbers, and return their sum.
INLINE double cumulate(const double *a, int64_t n, double *out) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) out[i] = sum += a[i];
    return sum;
}

// The first of n places at which cumulated numbers exceed a value; or the last.
INLINE int64_t place(const double *cumulated, int64_t n, double value) {
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (cumulated[middle] > value) high = middle;
        else low = middle + 1;
    }
    return low;
}

// The lowest of n values that half of their weights is up to. They are put in another
// order; there must be room for as many again.
inline double median(double *v, double *w, int64_t n, double *more_v, double *more_w) {
    double needed = 0;
    for (int64_t i = 0; i < n; i++) needed += 0.5 * w[i];
    for (;;) {
        const double a = v[0], b = v[n / 2], c = v[n - 1];
        const double low = a < b ? a : b, high = a < b ? b : a;
        const double pivot = c < low ? low : c > high ? high : c;
        int64_t below = 0, above = 0;
        double lower = 0, equal = 0;
        for (int64_t i = 0; i < n; i++) {
            const double x = v[i], weight = w[i];
            const bool less = x < pivot, more = x > pivot;
            v[below] = more_v[above] = x;
            w[below] = more_w[above] = weight;
            below += less;
            above += more;
            lower += less ? weight : 0;
            equal += less || more ? 0 : weight;
        }
        if (below && lower >= needed) {
            n = below;
            continue;
        }
        needed -= lower + equal;
        if (needed <= 0 || !above) return pivot;
        double *const other_v = v, *const other_w = w;
        v = more_v, w = more_w, n = above;
        more_v = other_v, more_w = other_w;
    }
}

// Squared distances of n samples, columns of z, to the one of number `to`.
INLINE void distances(const double *z, int64_t d, int64_t n, int64_t to, double *out) {
    for (int64_t j = 0; j < d; j++) {
        const double *row = z + j * n, x = row[to];
        for (int64_t i = 0; i < n; i++) {
            const double away = row[i] - x;
            out[i] = (j ? out[i] : 0) + away * away;
        }
    }
}

// (eˣ − 1 − x)/x² for |x| ≤ ½ ln 2, from the highest power: those with which the largest
// relative error of eˣ is least, 3e-16 and 1e-7.
template <class T> struct Exp;

template <> struct Exp<double> {
    static constexpr int n = 9;
    static constexpr double c[n] = {
        2.747672771587745e-07, 2.763506823359413e-06, 2.4801932371207488e-05,
        0.00019841185067561088, 0.0013888888515147706, 0.008333333370982302,
        0.04166666666814219, 0.16666666666611335, 0.4999999999999832};
};

template <> struct Exp<float> {
    static constexpr int n = 4;
    static constexpr float c[n] = {0.008312501289054383f, 0.04189033157407563f,
                                   0.16667115388868653f, 0.4999923030907398f};
};

// x − n ln 2. A product that is not rounded needs no second part of ln 2: what that lacks
// is a third of the rounding of x.
#if defined(__FMA__) && (WIDTH == 32 || WIDTH == 64)
#if WIDTH == 64
INLINE Vf8 less(Vf8 x, Vf8 n, Vf8 c) { return (Vf8)_mm512_fnmadd_pd((__m512d)n, (__m512d)c, (__m512d)x); }
INLINE Vf4 less(Vf4 x, Vf4 n, Vf4 c) { return (Vf4)_mm512_fnmadd_ps((__m512)n, (__m512)c, (__m512)x); }
#else
INLINE Vf8 less(Vf8 x, Vf8 n, Vf8 c) { return (Vf8)_mm256_fnmadd_pd((__m256d)n, (__m256d)c, (__m256d)x); }
INLINE Vf4 less(Vf4 x, Vf4 n, Vf4 c) { return (Vf4)_mm256_fnmadd_ps((__m256)n, (__m256)c, (__m256)x); }
#endif
template <class T> INLINE Vec<T> reduced(Vec<T> x, Vec<T> n) {
    return less(x, n, splat<T>((T)0.6931471805599453));
}
#else
template <class T> INLINE Vec<T> reduced(Vec<T> x, Vec<T> n) {
    return (x - n * Simd<T>::ln2_high) - n * Simd<T>::ln2_low;
}
#endif

// exp x of N registers in step, which hides the latency of each: exactly 0 below −limit,
// no more than that of `limit`; NaN stays. BELOW says that none is above the limit.
template <class T, int N, bool BELOW = false> INLINE void exponentials(Vec<T> *x) {
    using S = Simd<T>;
    using V = Vec<T>;
    using U = typename S::U;
    V n[N], f[N], y[N];
    UNROLL for (int i = 0; i < N; i++) {
        if (!BELOW) x[i] = select<T>(x[i] > S::limit, splat<T>(S::limit), x[i]);
        n[i] = x[i] * (T)1.4426950408889634 + S::magic;
        f[i] = reduced<T>(x[i], n[i] - S::magic);
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
// Components of the last product: fewer would wait for each other's sums.
constexpr int MOST_IN_GROUP = 6;

INLINE int64_t next_group(int64_t left) { return left > MOST_IN_GROUP ? GROUP : left; }

// acc[k][r] += Σ_j packed[j][k] · rows[j][r]: C components, R registers of samples.
template <class T, int C, int R>
INLINE void multiply(const T *packed, const T *rows, int64_t stride, int64_t p,
                     Vec<T> (&acc)[C][R], int64_t by_row = C) {
    constexpr int lanes = Simd<T>::lanes;
    for (int64_t j = 0; j < p; j++) {
        Vec<T> row[R];
        UNROLL for (int i = 0; i < R; i++) row[i] = load(rows + i * lanes);
        UNROLL for (int k = 0; k < C; k++)
            UNROLL for (int i = 0; i < R; i++) acc[k][i] += packed[k] * row[i];
        rows += stride;
        packed += by_row;
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
    for (; A == 1 && b + 2 * COLUMNS <= columns; b += 2 * COLUMNS)
        accumulate<T, A, A == 1 ? 2 * COLUMNS : 1, LISTED>(r, t + b * stride, stride, list, n,
                                                           acc + b, acc_stride);
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
constexpr int64_t CACHED = 256 << 10;  // bytes that a tile may have
constexpr int64_t LARGEST = 128, SMALLEST = 32;  // samples of a tile
constexpr int64_t FLUSHED = 16;       // tiles whose sums stay in registers' precision
constexpr int64_t ROOM = 8192;        // numbers of a tile's completed samples
constexpr int64_t LISTED = 12;        // columns from which negligible registers are left out
// Of many components most have no part in a sample, where clusters are apart: exponentials
// and sums of those are left out. As that takes time by itself, it is done where at most
// three of four registers are near; where more were, tiles are done as a whole for a while.
constexpr double NEAR = 40;           // nats below the largest logit that count
constexpr int64_t MANY = 8;           // components
constexpr int64_t WHOLE = 15;         // tiles
// Features of matrices from which a few of them tell which components are far.
constexpr int64_t TELLING = 16, HEAD = 32;
// Samples that are put in the order of their likeliest components, where clusters are apart;
// at least so many for each component; the fewest of one that are a tile by themselves; and
// those of the tile that tells whether clusters are apart.
constexpr int64_t SORTED = 8192, LEAST_SORTED = 16, FEWEST = 16, TRIED = 64;
// Features of samples that stay rows, in double and in single precision: with fewer, what
// sums over lanes take is more than is saved, where all components count.
constexpr int64_t LONG = 48, LONG_SINGLE = 64;
constexpr int64_t NEAREST = 16 << 10;  // bytes of them that the nearest cache may have
// Components up to which blocks have enough rows of each.
constexpr int64_t MOST_SORTED = 64;
// What sorted tiles may cost, beside others; and registers that count for each sample that
// does.
constexpr double WORTH_SORTING = 0.6, SPREAD = 2.5;

INLINE bool masked(const Model &m) {
    return m.kind == MASKED_NORM || m.kind == MASKED_SQUARES;
}

INLINE bool norm(const Model &m) { return m.kind == NORM || m.kind == MASKED_NORM; }

// Products x_i x_j, j ≥ i, that q(x) has of a feature, in this order.
INLINE int64_t products(const Model &m, int64_t i) {
    switch (m.kind) {
    case SQUARES:
    case MASKED_SQUARES: return 1;
    case PAIRS: return m.d - i;
    default: return 0;
    }
}

INLINE int64_t n_quadratic(const Model &m) {
    int64_t size = norm(m) + (masked(m) ? m.d : 0);
    for (int64_t i = 0; i < m.d; i++) size += products(m, i);
    return size;
}

// The largest share of components that count for a sample where sorting is worth it: linear
// functions tell which they are. Of few features these cost as much as logits.
INLINE double most_near(const Model &m) {
    const bool known = m.means && m.kind == PAIRS && m.bounded && !m.centred;
    if (!known || m.tails || m.cells || m.K < MANY || m.K > MOST_SORTED) return 0;
    return (WORTH_SORTING - 4 / (double)(m.d + 2)) / SPREAD;
}

// Whether samples stay rows of features, of which there are enough to fill registers.
INLINE bool in_rows(const Model &m) {
    const bool known = m.kind == SQUARES || m.kind == NORM || m.kind == NOTHING;
    // Without rows of squares there is less to save.
    const int64_t few = m.itemsize == 8 ? LONG : LONG_SINGLE;
    const int64_t least = m.kind == SQUARES ? few : 2 * few;
    return known && !m.centred && !m.tails && !m.cells && m.d >= least;
}

INLINE bool in_rows(const Model &m, const Job &j) {
    const bool widths_too = !j.squares && j.n_atoms <= 1;
    return in_rows(m) && j.sums && widths_too && !j.resp && !j.labels && !j.log_norm;
}

INLINE int64_t aligned(int64_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

INLINE int64_t whole_groups(int64_t n) { return (n + GROUP - 1) / GROUP * GROUP; }

// Where things are in the scratch memory, in bytes. Rows of a tile have a stride of a
// cache line more than the tile: a power of two would map all rows to the same sets.
struct Layout {
    int64_t p, tile, stride, matrix, n_acc;
    int64_t across;  // features in whole registers and groups, of TELLING ones and more
    int64_t t, r, squares, c, rc, norm, lost, list, packed, common, once_more, acc, heavy, size;
    int64_t near, n_near, whole, products;
    int64_t columns, wide;  // components in whole registers, and groups of linear functions
    int64_t coefficients, linear, slope, labels, order, first, rows_of;
    int64_t padded, room;  // components in whole registers; numbers of completed samples
    bool rows_stay;
    int64_t row, coefficient_rows, moves, sum_rows;  // numbers of a row, and what has such
    int64_t words, found, gaps, n_gaps, rows, starts, cells, slopes, precisions, filled, few,
        missing;

    Layout(const Model &m, bool rows_stay) : rows_stay(rows_stay) {
        p = 1 + m.d + n_quadratic(m);
        const bool matrices = m.centred && m.kind == PAIRS;
        // Of many features, few samples are worked on at a time.
        const bool few_at_once = matrices && m.d >= TELLING;
        const int64_t rows = m.K * (m.tails ? 3 : 1) +
                             (rows_stay     ? 1 + m.d
                              : few_at_once ? 3 * m.d / 2
                              : m.centred   ? 3 * m.d
                                            : p);
        tile = LARGEST;
        while (tile > SMALLEST && rows * tile * m.itemsize > CACHED) tile /= 2;
        stride = tile + LINE / m.itemsize;
        matrix = whole_groups(m.d) * (m.d + GROUP);
        n_acc = matrices ? 1 + m.d + (m.d + 1) * (m.d + COLUMNS) : p;
        across = 0;
        if (few_at_once) {
            const int64_t lanes = WIDTH / m.itemsize, whole_ones = lanes > GROUP ? lanes : GROUP;
            across = (m.d + whole_ones - 1) / whole_ones * whole_ones;
            n_acc = 1;
        }
        // An odd number of cache lines, too.
        this->row = (aligned(m.d * m.itemsize) | LINE) / m.itemsize;
        if (rows_stay) n_acc = 2;
        const int64_t row = stride * m.itemsize;
        size = 0;
        t = take(rows_stay ? tile * this->row * m.itemsize : (m.centred ? 1 + m.d : p) * row);
        r = take(m.K * row);
        squares = take(m.d * row);
        c = take(m.centred ? (across ? across : m.d) * row : 0);
        rc = take(m.centred ? (1 + (across ? across : m.d)) * row : 0);
        norm = take(4 * row);
        lost = take(tile);
        list = take(tile * 4);
        const int64_t factors = m.M * (m.shared ? 1 : m.K);
        packed = take(m.itemsize * (matrices    ? factors * matrix
                                    : m.centred ? 0
                                                : m.M * m.K * p));
        common = take(m.common ? matrix * m.itemsize : 0);
        once_more = take(m.centred ? 0 : (m.K + 1) * PAIR * WIDTH);
        acc = take(m.M * m.K * n_acc * WIDTH);
        products = take(m.M * m.K * (across + 1) * across * m.itemsize);
        heavy = take(m.tails ? 2 * m.K * row : 0);
        near = take(m.K * tile * 4);
        n_near = take(2 * m.K * 4);
        whole = take(m.M * 4);
        if (rows_stay) take_rows(m);
        if (most_near(m) > 0) take_order(m);
        if (m.cells) take_gaps(m);
        size += LINE;
    }

    void take_rows(const Model &m) {
        const int64_t bytes = (m.kind == SQUARES ? 2 : 1) * row * m.itemsize;
        coefficient_rows = take(m.M * m.K * bytes);
        sum_rows = take(m.M * m.K * bytes);
        moves = take(5 * row * m.itemsize);
    }

    void take_order(const Model &m) {
        const int64_t lanes = WIDTH / m.itemsize;
        columns = (m.K + lanes - 1) / lanes * lanes;
        coefficients = take(m.M * p * columns * m.itemsize);
        wide = (m.K + 3 * lanes - 1) / (3 * lanes) * 3 * lanes;
        linear = take((1 + m.d) * wide * m.itemsize);
        slope = take((m.d + 1) * (2 * WIDTH > 8 * m.d ? 2 * WIDTH : 8 * m.d));
        labels = take(SORTED * 4);
        order = take(SORTED * 4);
        first = take((m.K + 1) * 4);
        rows_of = take(tile * m.d * 8);
    }

    void take_gaps(const Model &m) {
        const int64_t d = m.d, lanes = WIDTH / m.itemsize;
        padded = (m.K + lanes - 1) / lanes * lanes;
        room = d * (d + 3) / 2 * padded;
        if (room < ROOM) room = ROOM;
        const int64_t one = m.M * d * padded * m.itemsize;
        words = (d + 8 * m.itemsize - 1) / (8 * m.itemsize);
        found = take(words * tile * m.itemsize);
        gaps = take(tile * d * 4);
        n_gaps = take(tile * 4);
        rows = take(tile * 4);
        starts = take((d + 1) * 4);
        cells = take(one);
        slopes = take(one);
        precisions = take((m.shared ? one / padded : one) * d);
        filled = take(room * m.itemsize);
        few = take((6 * d + padded / lanes) * WIDTH);
        missing = take(one * (d + 1));
    }

    int64_t take(int64_t bytes) {
        const int64_t at = size;
        size += aligned(bytes);
        return at;
    }
};

// What a pass needs, whatever is wanted of a block.
INLINE int64_t scratch_bytes(const Model &m) {
    const int64_t size = Layout(m, false).size, in_rows_size = Layout(m, in_rows(m)).size;
    return size > in_rows_size ? size : in_rows_size;
}

template <class T> class Pass {
    using V = Vec<T>;
    static constexpr int lanes = Simd<T>::lanes;
    static constexpr int step = PAIR * lanes;

    const Model &model;
    const Job &job;
    const Layout at;
    const int64_t d, K, M, stride;
    const bool common_rest;  // all components have the same coefficients of q(x)
    const int64_t own;  // rows of T(x) after the first whose coefficients are a component's
    char *scratch;
    T *t, *r, *squares, *c, *rc, *packed, *common, *once_more, *scales, *logs;
    const T *theta = nullptr;
    T *total_, *log_norm, *factor, *weight;
    uint8_t *lost;
    int32_t *list;
    // Whether the tile's far components are left out; of each component its places that are
    // near, and how many; of each mixture, tiles that are still to be done as a whole.
    bool sparse = false;
    int32_t *near_places, *n_near, *near_components, *whole;
    T *products_of;  // Σ r y yᵀ and Σ r y of each component, features side by side
    V *acc;
    // Where samples are sorted: of the tile, its samples, and whether they have one label;
    // coefficients of all components, and linear functions, with components side by side.
    const int32_t *order = nullptr;
    bool pure = false;
    bool trying = false;
    double near_share = 0;  // of components, in the tile that is tried
    T *coefficients = nullptr, *linear = nullptr;
    int64_t start = 0, n = 0, used = 0;  // of the tile: first sample, samples, padded
    int64_t n_lost = 0, unflushed = 0;
    bool any_dead = false;
    T negligible;
    // Bits of what each sample lacks; and of those with gaps which ones they are, how many
    // they have, and where, d places for each.
    typename Simd<T>::W *found = nullptr;
    int32_t *gap_rows = nullptr, *n_gaps = nullptr, *gaps = nullptr, *gap_starts = nullptr;
    int64_t with_gaps = 0;
    T *cells = nullptr, *slopes = nullptr, *precisions = nullptr, *filled = nullptr;
    T *few = nullptr, *missing = nullptr;
    // Where samples stay rows: of each component coefficients and sums of z, and of squares.
    T *coefficient_rows = nullptr, *row_sums = nullptr, *moves = nullptr;

    template <class X> X *place(int64_t offset) { return (X *)(scratch + offset); }

  public:
    Pass(const Model &m, const Job &j)
        : model(m), job(j), at(m, in_rows(m, j)), d(m.d), K(m.K), M(m.M), stride(at.stride),
          common_rest(m.shared && (m.cells || m.tails) && !m.centred),
          own(common_rest ? m.d : at.p - 1) {
        scratch = (char *)(((uintptr_t)j.scratch + LINE - 1) / LINE * LINE);
        t = place<T>(at.t);
        r = place<T>(at.r);
        squares = place<T>(at.squares);
        c = place<T>(at.c);
        rc = place<T>(at.rc);
        packed = place<T>(at.packed);
        common = place<T>(at.common);
        once_more = place<T>(at.once_more);
        scales = place<T>(at.heavy);
        logs = scales + K * stride;
        total_ = place<T>(at.norm);
        log_norm = total_ + stride;
        factor = log_norm + stride;
        weight = factor + stride;
        lost = place<uint8_t>(at.lost);
        list = place<int32_t>(at.list);
        near_places = place<int32_t>(at.near);
        n_near = place<int32_t>(at.n_near);
        near_components = n_near + K;
        whole = place<int32_t>(at.whole);
        products_of = place<T>(at.products);
        acc = place<V>(at.acc);
        negligible = (T)m.negligible;
        if (most_near(m) > 0) {
            coefficients = place<T>(at.coefficients);
            linear = place<T>(at.linear);
        }
        if (at.rows_stay) {
            coefficient_rows = place<T>(at.coefficient_rows);
            row_sums = place<T>(at.sum_rows);
            moves = place<T>(at.moves);
        }
        if (!m.cells) return;
        found = place<typename Simd<T>::W>(at.found);
        gap_starts = place<int32_t>(at.starts);
        gap_rows = place<int32_t>(at.rows);
        n_gaps = place<int32_t>(at.n_gaps);
        gaps = place<int32_t>(at.gaps);
        cells = place<T>(at.cells);
        slopes = place<T>(at.slopes);
        precisions = place<T>(at.precisions);
        filled = place<T>(at.filled);
        few = place<T>(at.few);
        missing = place<T>(at.missing);
    }

    int64_t run() {
        pack();
        if (model.cells) pack_gaps();
        for (int64_t m = 0; m < M; m++) whole[m] = 0;
        for (int64_t s = 0; s < at.tile; s++) {
            if (!at.rows_stay) t[s] = 1;
            lost[s] = 0;
            weight[s] = 1;
        }
        if (job.sums) {
            for (int64_t i = 0; i < M * K * at.n_acc; i++) acc[i] = V{};
            for (int64_t i = 0; i < M * K * (at.across + 1) * at.across; i++) products_of[i] = 0;
            for (int64_t i = 0; at.rows_stay && i < M * K * row_parts() * at.row; i++)
                row_sums[i] = 0;
            for (int64_t i = 0; i < M * K * at.p; i++) job.sums[i] = 0;
            for (int64_t m = 0; m < M; m++) job.loglik[m] = 0;
            for (int64_t i = 0; model.tails && i < M * K * 3; i++) job.owned[i] = 0;
        }
        const int64_t begin = may_sort() ? run_sorted() : 0;
        for (start = begin; start < job.n; start += n)
            run_tile(job.n - start < at.tile ? job.n - start : at.tile);
        if (job.sums) flush();
        if (job.sums && model.cells) add_gaps();
        return n_lost;
    }

  private:
    void run_tile(int64_t samples) {
        const int64_t whole_ones = pure ? lanes : step;
        n = samples;
        used = (n + whole_ones - 1) / whole_ones * whole_ones;
        load_tile();
        for (int64_t m = 0; m < M; m++) {
            softmax(m);
            if (job.sums && model.tails) add_owned(m);
            if (job.sums) model.centred ? sum_centred(m) : sum_expanded(m);
            if (job.sums && model.cells) sum_gaps(m);
            write(m);
        }
        // Sums of single precision are not left in it for long.
        unflushed += n;
        const int64_t most = FLUSHED * at.tile / (at.rows_stay ? lanes : 1);
        if (job.sums && sizeof(T) == 4 && unflushed >= most) flush();
    }

    // Groups of columns of an upper triangular matrix, each with the rows it has.
    void pack_upper(const double *upper, T *out) {
        for (int64_t j = 0; j < d; j += GROUP)
            for (int64_t i = 0; i < (j + GROUP < d ? j + GROUP : d); i++)
                for (int64_t g = 0; g < GROUP; g++)
                    *out++ = j + g < d && i <= j + g ? (T)upper[i * d + j + g] : (T)0;
    }

    void pack() {
        if (at.rows_stay) return pack_rows();
        if (model.common) pack_upper(model.common, common);
        if (model.centred) {
            if (model.kind == PAIRS)
                for (int64_t k = 0; k < M * (model.shared ? 1 : K); k++)
                    pack_upper(model.cholesky + k * d * d, packed + k * at.matrix);
            return;
        }
        T *out = packed;
        for (int64_t m = 0; m < M; m++)
            for (int64_t k = 0, size; k < K; k += size) {
                size = next_group(K - k);
                for (int64_t j = 0; j < at.p; j++)
                    for (int64_t g = 0; g < size; g++)
                        *out++ = (T)model.theta[(m * K + k + g) * at.p + j];
            }
    }

    // --- Load ---------------------------------------------------------------

    // A number of features that is known makes a tile of rows a few shuffles.
    template <class X, int D>
    void load_rows(T *z, const char *x, int64_t by_sample, int64_t first = 0) {
        const int64_t features = D ? D : d;
        for (int64_t s = first; s < n; s++)
            for (int64_t i = 0; i < features; i++)
                z[i * stride + s] = (T)((const X *)(x + s * by_sample))[i];
    }

    // Four features of four samples at a time. Returns how many samples are done.
    template <class X> int64_t load_squares_of_four(T *z, const char *x, int64_t by_sample) {
        int64_t s = 0;
#if WIDTH >= 32 && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector) && __has_builtin(__builtin_convertvector)
        typedef X From __attribute__((vector_size(4 * sizeof(X)), aligned(1)));
        typedef T Four __attribute__((vector_size(4 * sizeof(T))));
        for (; s + 4 <= n; s += 4) {
            const char *rows = x + s * by_sample;
            int64_t i = 0;
            for (; i + 4 <= d; i += 4) {
                const auto four = [=](int64_t row) {
                    const From *at = (const From *)((const X *)(rows + row * by_sample) + i);
                    return __builtin_convertvector(*at, Four);
                };
                const Four a = four(0), b = four(1), c = four(2), e = four(3);
                const Four even = __builtin_shufflevector(a, b, 0, 4, 2, 6);
                const Four odd = __builtin_shufflevector(a, b, 1, 5, 3, 7);
                const Four even_too = __builtin_shufflevector(c, e, 0, 4, 2, 6);
                const Four odd_too = __builtin_shufflevector(c, e, 1, 5, 3, 7);
                T *to = z + i * stride + s;
                *(Four *)to = __builtin_shufflevector(even, even_too, 0, 1, 4, 5);
                *(Four *)(to + stride) = __builtin_shufflevector(odd, odd_too, 0, 1, 4, 5);
                *(Four *)(to + 2 * stride) = __builtin_shufflevector(even, even_too, 2, 3, 6, 7);
                *(Four *)(to + 3 * stride) = __builtin_shufflevector(odd, odd_too, 2, 3, 6, 7);
            }
            for (; i < d; i++)
                for (int64_t l = 0; l < 4; l++)
                    z[i * stride + s + l] = (T)((const X *)(rows + l * by_sample))[i];
        }
#endif
#endif
        return s;
    }

    template <class X> void load_from(T *z) {
        const char *x = job.x + start * job.sample_stride;
        int64_t by_feature = job.feature_stride, by_sample = job.sample_stride;
        if (order) {
            X *to = place<X>(at.rows_of);
            for (int64_t s = 0; s < n; s++, to += d) {
                x = job.x + order[s] * by_sample;
                if (by_feature == (int64_t)sizeof(X))
                    __builtin_memcpy(to, x, d * sizeof(X));
                else
                    for (int64_t i = 0; i < d; i++) to[i] = *(const X *)(x + i * by_feature);
            }
            x = scratch + at.rows_of;
            by_feature = sizeof(X);
            by_sample = d * (int64_t)sizeof(X);
        }
        const bool rows = by_feature == (int64_t)sizeof(X) || d == 1;
        const bool packed = by_sample == d * (int64_t)sizeof(X);
        if (rows && packed && d == 1)
            load_rows<X, 1>(z, x, sizeof(X));
        else if (rows && packed && d == 2)
            load_rows<X, 2>(z, x, 2 * sizeof(X));
        else if (rows && packed && d == 3)
            load_rows<X, 3>(z, x, 3 * sizeof(X));
        else if (rows)
            load_rows<X, 0>(z, x, by_sample, load_squares_of_four<X>(z, x, by_sample));
        else
            for (int64_t i = 0; i < d; i++)
                for (int64_t s = 0; s < n; s++)
                    z[i * stride + s] = (T) * (const X *)(x + i * by_feature + s * by_sample);
    }

    void load_tile() {
        if (at.rows_stay) {
            load_long();
            return load_weights();
        }
        T *z = t + stride;
        load_features(z);
        load_squares();
        if (!model.centred) expand(z);
        load_weights();
    }

    // Call a function with a value of the type that samples come in.
    template <class F> void with_source(const F &f) {
        switch (job.source) {
        case F8: return f(double());
        case F4: return f(float());
        case I8: return f(int64_t());
        case I4: return f(int32_t());
        case I2: return f(int16_t());
        case I1: return f(int8_t());
        case U8: return f(uint64_t());
        case U4: return f(uint32_t());
        case U2: return f(uint16_t());
        case U1: return f(uint8_t());
        }
    }

    void load_features(T *z) {
        with_source([&](auto x) { load_from<decltype(x)>(z); });
        if (model.cells) find_gaps(z);
        if (any_dead)
            for (int64_t s = 0; s < at.tile; s++) lost[s] = 0;
        any_dead = false;
        for (int64_t i = 0; i < d; i++) {
            T *row = z + i * stride;
            const V shift = splat<T>((T)model.shift[i]), scale = splat<T>((T)model.scale[i]);
            // Where samples are sorted, what fills a register is near the others.
            for (int64_t s = n; s < used; s++) row[s] = order ? row[n - 1] : (T)model.shift[i];
            if (job.atoms) look_up(i, row);
            if (masked(model)) mask(row, mask_of(i), (T)model.shift[i]);
            V beyond{};
            for (int64_t s = 0; s < used; s += lanes) {
                const V x = (load(row + s) - shift) * scale;
                store(row + s, x);
                // Infinite or NaN squares make these NaN.
                beyond += (x * x) * (T)0;
            }
            if (any(beyond != V{})) bury(row);
        }
    }

    // Find what is added to the squares of values of a feature.
    void look_up(int64_t i, const T *row) {
        const double *own = job.atoms + i * (1 + 2 * job.n_atoms);
        T *out = squares + i * stride;
        for (int64_t s = 0; s < used; s += lanes) store(out + s, splat<T>((T)own[0]));
        for (int64_t j = 0; j < job.n_atoms; j++) {
            const V value = splat<T>((T)own[1 + 2 * j]), more = splat<T>((T)own[2 + 2 * j]);
            for (int64_t s = 0; s < used; s += lanes)
                store(out + s, select<T>(load(row + s) == value, more, load(out + s)));
        }
        for (int64_t s = n; s < used; s++) out[s] = 0;
    }

    T *mask_of(int64_t i) { return t + (at.p - d + i) * stride; }

    // Put what becomes zero in the place of missing values.
    void mask(T *row, T *out, T zero) {
        for (int64_t s = 0; s < used; s += lanes) {
            const V x = load(row + s);
            store(out + s, select<T>(x == x, splat<T>((T)1), V{}));
            store(row + s, select<T>(x == x, x, splat<T>(zero)));
        }
    }

    // Leave out samples whose squares are beyond the range, in all that follows.
    void bury(T *row) {
        any_dead = true;
        for (int64_t s = 0; s < used; s++)
            if (!(row[s] * row[s] <= Simd<T>::largest)) lost[s] = 1;
    }

    int64_t sample(int64_t s) const { return order ? order[s] : start + s; }

    void load_squares() {
        if (any_dead)
            for (int64_t s = 0; s < used; s++)
                if (lost[s])
                    for (int64_t i = 0; i < d; i++) t[(1 + i) * stride + s] = 0;
        if (!job.widened()) return;
        for (int64_t i = 0; job.squares && i < d; i++) {
            const char *from = job.squares + i * job.squares_feature_stride +
                               start * job.squares_sample_stride;
            T *row = squares + i * stride;
            for (int64_t s = 0; s < n; s++)
                row[s] = (T) * (const double *)(from + s * job.squares_sample_stride);
            for (int64_t s = n; s < used; s++) row[s] = 0;
        }
        for (int64_t g = 0; g < with_gaps; g++)
            for (int64_t i = 0; i < n_gaps[g]; i++)
                squares[gaps[g * d + i] * stride + gap_rows[g]] = 0;
    }

    void load_weights() {
        // A tile before may have been shorter.
        for (int64_t s = 0; s < n && (model.cells || coefficients); s++) weight[s] = 1;
        for (int64_t s = 0; s < n && job.weight; s++)
            weight[s] = (T) * (const double *)(job.weight + sample(s) * job.weight_stride);
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
        if (norm(model))
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
        if (job.widened()) add_squares();
    }

    void add_squares() {
        T *q = t + (1 + d) * stride;
        for (int64_t i = 0; i < d && model.kind != NOTHING; i++) {
            const T *there = masked(model) ? mask_of(i) : t;
            for (int64_t s = 0; s < used; s += lanes)
                store(q + s, load(q + s) + load(there + s) * load(squares + i * stride + s));
            q += products(model, i) * stride;
        }
    }

    // --- Softmax ------------------------------------------------------------

    // Responsibilities, times the weights if there are sums.
    void softmax(int64_t m) {
        const bool labels = !job.sums && !job.log_norm && !job.resp;
        theta = packed + m * K * at.p;
        sparse = job.sums && !job.resp && !job.labels && !model.tails && !model.cells &&
                 K >= MANY && whole[m] == 0 && !(model.centred && job.widened());
        if (whole[m]) whole[m]--;
        if (pure) {
            sparse = true;
            near_logits(m);
            return normalise<false>(m);
        }
        if (model.centred) {
            if (model.kind != PAIRS)
                standardise(m);
            else if (sparse && d >= TELLING)
                whiten_near(m);
            else
                whiten(m);
            if (job.widened()) widen(m);
        }
        // Logits of at most 0 need no search for the maximum, unless all underflow.
        const bool two = K == 2 && !model.centred && !at.rows_stay && !labels && !common_rest &&
                         !model.cells && !model.tails;
        const bool direct = model.bounded && !model.centred && !labels &&
                            !model.cells && !sparse && !two && !at.rows_stay;
        if (two) {
            int64_t s = 0;
            for (; s + 2 * step <= used; s += 2 * step) weigh_two<2 * PAIR>(s);
            if (s < used) weigh_two<PAIR>(s);
            normalise<false>(m);
            if (job.labels) label();
            return;
        }
        if (at.rows_stay) long_logits(m);
        for (int64_t s = 0; s < used && !model.centred && !at.rows_stay; s += step)
            direct ? logits<true>(s, r + s, stride) : logits<false>(s, r + s, stride);
        if (with_gaps) complete(m);
        if (model.tails) stretch(m);
        if (labels) return label();
        if (trying) near_share += share_near() / (double)M;
        if (sparse)
            near_exponentials(m);
        else if (!direct)
            for (int64_t s = 0; s < used; s += lanes) {
                const V most = shifted_exponentials(r + s, stride, total_ + s);
                store(log_norm + s, most);
            }
        direct ? normalise<true>(m) : normalise<false>(m);
        if (job.labels) label();
    }

    // Of two components the larger exponential of `shifted_exponentials` is one.
    template <int R> void weigh_two(int64_t s) {
        V l[2][R], e[R];
        const T *row = theta;
        UNROLL for (int g = 0; g < 2; g++)
            UNROLL for (int i = 0; i < R; i++) l[g][i] = splat<T>(row[g]);
        multiply<T, 2>(row + 2, t + stride + s, stride, own, l);
        UNROLL for (int i = 0; i < R; i++) {
            const auto second = l[1][i] > l[0][i];
            const V most = select<T>(second, l[1][i], l[0][i]);
            e[i] = select<T>(second, l[0][i], l[1][i]) - most;
            store(log_norm + s + i * lanes, most);
            l[0][i] = (V)second;
        }
        exponentials<T, R, true>(e);
        const V one = splat<T>((T)1);
        UNROLL for (int i = 0; i < R; i++) {
            const auto second = (typename Simd<T>::I)l[0][i];
            store(total_ + s + i * lanes, e[i] + one);
            store(r + s + i * lanes, select<T>(second, e[i], one));
            store(r + stride + s + i * lanes, select<T>(second, one, e[i]));
        }
    }

    // Of the registers from s on, to rows of any stride; exponentials, with their sums,
    // in the direct way.
    template <bool DIRECT> void logits(int64_t s, T *out, int64_t by_row) {
        const T *packed_row = theta;
        V sums[PAIR] = {};
        for (int64_t k = 0, size; k < K; k += size) {
            size = next_group(K - k);
            T *to = out + k * by_row;
            switch (size) {
            case 1: logits_of<1, DIRECT>(packed_row, s, to, by_row, sums); break;
            case 2: logits_of<2, DIRECT>(packed_row, s, to, by_row, sums); break;
            case 3: logits_of<3, DIRECT>(packed_row, s, to, by_row, sums); break;
            case 5: logits_of<5, DIRECT>(packed_row, s, to, by_row, sums); break;
            case 6: logits_of<6, DIRECT>(packed_row, s, to, by_row, sums); break;
            default: logits_of<GROUP, DIRECT>(packed_row, s, to, by_row, sums);
            }
            packed_row += size * at.p;
        }
        if (common_rest) add_common(s, out, by_row);
        if (DIRECT)
            for (int i = 0; i < PAIR; i++) store(total_ + s + i * lanes, sums[i]);
    }

    // What components share of T(x), to all of them.
    void add_common(int64_t s, T *out, int64_t by_row) {
        V common[1][PAIR] = {};
        const int64_t group = next_group(K);
        multiply<T, 1>(theta + group * (1 + own), t + (1 + own) * stride + s, stride,
                       at.p - 1 - own, common, group);
        for (int64_t k = 0; k < K; k++)
            UNROLL for (int i = 0; i < PAIR; i++) {
                T *to = out + k * by_row + i * lanes;
                store(to, load(to) + common[0][i]);
            }
    }

    template <int C, bool DIRECT>
    inline __attribute__((always_inline)) void logits_of(const T *row, int64_t s, T *out, int64_t by_row, V *sums) {
        V l[C][PAIR];
        for (int g = 0; g < C; g++)
            for (int i = 0; i < PAIR; i++) l[g][i] = splat<T>(row[g]);
        multiply<T, C>(row + C, t + stride + s, stride, own, l);
        if (DIRECT) {
            constexpr int half = C > 2 ? C / 2 : C;
            exponentials<T, half * PAIR, true>(l[0]);
            if (half < C) exponentials<T, (C - half) * PAIR, true>(l[half]);
            UNROLL for (int g = 0; g < C; g++)
                UNROLL for (int i = 0; i < PAIR; i++) sums[i] += l[g][i];
        }
        UNROLL for (int g = 0; g < C; g++)
            UNROLL for (int i = 0; i < PAIR; i++)
                store(out + g * by_row + i * lanes, l[g][i]);
    }

    // Turn logits of Gaussians into those of t components, with u and log(1 + δ/ν) + u.
    void stretch(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            const double *of = model.tails + (m * K + k) * N_TAILS;
            if ((int64_t)of[SHAPE] == FLAT) {
                for (int64_t s = 0; s < used; s += lanes) {
                    store(scales + k * stride + s, V{});
                    store(logs + k * stride + s, V{});
                }
                continue;
            }
            const bool bell = (int64_t)of[SHAPE] == BELL;
            const V zero{}, one = splat<T>((T)1), reach = splat<T>((T)of[REACH]);
            const T inverse = (T)(1 / of[NU]), ratio = (T)(2 * of[E] / of[NU]);
            const T c = (T)of[C], e = (T)of[E], peak = (T)of[PEAK];
            for (int64_t s = 0; s < used; s += lanes) {
                const V l = load(r + k * stride + s);
                V delta = (T)2 * (c - l);
                const auto finite = (delta < Simd<T>::largest) & (delta > -Simd<T>::largest);
                const auto near = delta <= reach;
                delta = select<T>(near, delta, reach);
                delta = select<T>(delta > zero, delta, zero);
                const V grown = one + delta * inverse;
                const V log = logarithm<T>(grown);
                const V u = bell ? one : ratio / grown;
                const V logit = bell ? peak - (T)0.5 * delta : peak - e * log;
                store(r + k * stride + s, select<T>(finite, logit, zero / zero));
                store(scales + k * stride + s, select<T>(finite & near, u, zero));
                store(logs + k * stride + s, select<T>(finite, log + u, zero));
            }
        }
    }

    // Turn responsibilities into what rows count for locations, and add up the rest.
    void add_owned(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            V counts{}, tails{}, beyond{};
            const V zero{};
            T *row = r + k * stride;
            for (int64_t s = 0; s < used; s += lanes) {
                const V w = load(row + s), u = load(scales + k * stride + s);
                counts += w;
                tails += w * load(logs + k * stride + s);
                beyond += select<T>(u > zero, zero, w);
                store(row + s, w * u);
            }
            double *to = job.owned + (m * K + k) * 3;
            to[0] += total<T>(counts);
            to[1] += total<T>(tails);
            to[2] += total<T>(beyond);
        }
    }

    // Logits −½|Uᵀ(z − μ)|², of factors U that are matrices.
    void whiten(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            centre(m, k, d);
            squared_norms(upper(m, k), c, r + k * stride, (T)model.constants[m * K + k], d, used);
        }
    }

    const T *upper(int64_t m, int64_t k) const {
        return packed + (model.shared ? m : m * K + k) * at.matrix;
    }

    // The same for components that are near. The first features give bounds from above, as
    // the rest of a sum of squares is positive. First each sample's likeliest component by
    // these is completed, then those whose bound is not far below the largest logit.
    void whiten_near(int64_t m) {
        const int64_t head = d < 3 * HEAD ? whole_groups(d / 3) : HEAD;
        T *most = total_, *best = factor;
        for (int64_t k = 0; k < K; k++) {
            T *row = r + k * stride;
            centre(m, k, head);
            squared_norms(upper(m, k), c, row, (T)model.constants[m * K + k], head, used);
            n_near[k] = 0;
            for (int64_t s = 0; s < used; s += lanes) {
                const V bound = load(row + s), before = load(most + s);
                const auto higher = bound > before;
                store(most + s, k ? select<T>(higher, bound, before) : bound);
                store(best + s, k ? select<T>(higher, splat<T>((T)k), load(best + s)) : V{});
            }
        }
        for (int64_t s = 0; s < n; s++) {
            const int64_t k = (int64_t)best[s];
            near_places[k * at.tile + n_near[k]++] = (int32_t)s;
        }
        for (int64_t k = 0; k < K; k++) complete_logits(m, k);
        for (int64_t s = 0; s < n; s++) most[s] = r[(int64_t)best[s] * stride + s];
        int64_t found = n;
        for (int64_t k = 0; k < K; k++) {
            const T *row = r + k * stride;
            n_near[k] = 0;
            for (int64_t s = 0; s < used; s += lanes) {
                const auto near = (load(row + s) > load(most + s) - (T)NEAR) &
                                  (load(best + s) != splat<T>((T)k));
                if (!any(near)) continue;
                for (int64_t l = 0; l < lanes; l++) {
                    near_places[k * at.tile + n_near[k]] = (int32_t)(s + l);
                    n_near[k] += near[l] && s + l < n;
                }
            }
            complete_logits(m, k);
            found += n_near[k];
            for (int64_t i = 0; i < n_near[k]; i++) {
                const int64_t s = near_places[k * at.tile + i];
                most[s] = row[s] > most[s] ? row[s] : most[s];
            }
        }
        if (2 * found > K * n) whole[m] = WHOLE;
    }

    // Of listed samples.
    void complete_logits(int64_t m, int64_t k) {
        const int64_t samples = n_near[k], padded = (samples + lanes - 1) / lanes * lanes;
        const int32_t *places = near_places + k * at.tile;
        if (!samples) return;
        gather(m, k, places, samples, padded);
        squared_norms(upper(m, k), c, rc, (T)model.constants[m * K + k], d, padded);
        for (int64_t i = 0; i < samples; i++) r[k * stride + places[i]] = rc[i];
    }

    // x − μ of listed samples, and zeros.
    void gather(int64_t m, int64_t k, const int32_t *places, int64_t samples, int64_t padded) {
        const double *means = model.means + (m * K + k) * d;
        for (int64_t i = 0; i < d; i++) {
            const T *from = t + (1 + i) * stride, mean = (T)means[i];
            T *to = c + i * stride;
            for (int64_t s = 0; s < samples; s++) to[s] = from[places[s]] - mean;
            for (int64_t s = samples; s < padded; s++) to[s] = 0;
        }
    }

    void centre(int64_t m, int64_t k, int64_t features) {
        const double *means = model.means + (m * K + k) * d;
        for (int64_t i = 0; i < features; i++) {
            const V mean = splat<T>((T)means[i]);
            for (int64_t s = 0; s < used; s += lanes)
                store(c + i * stride + s, load(t + (1 + i) * stride + s) - mean);
        }
    }

    // constant − ½|Uᵀx|² of each sample, of the first columns of U.
    void squared_norms(const T *upper, const T *x, T *out, T constant, int64_t n_columns,
                       int64_t samples) {
        int64_t s = 0;
        for (; s + step <= samples; s += step)
            squared_norms_of<PAIR>(upper, x + s, out + s, constant, n_columns);
        for (; s < samples; s += lanes)
            squared_norms_of<1>(upper, x + s, out + s, constant, n_columns);
    }

    template <int R>
    void squared_norms_of(const T *columns, const T *x, T *out, T constant, int64_t n_columns) {
        V sums[R] = {};
        for (int64_t j = 0; j < n_columns; j += GROUP) {
            const int64_t rows = j + GROUP < d ? j + GROUP : d;
            V y[GROUP][R] = {};
            multiply<T, GROUP>(columns, x, stride, rows, y);
            for (int g = 0; g < GROUP; g++)
                for (int i = 0; i < R; i++) sums[i] += y[g][i] * y[g][i];
            columns += GROUP * rows;
        }
        for (int i = 0; i < R; i++) store(out + i * lanes, constant - (T)0.5 * sums[i]);
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

    // Replace logits of a register by exponentials of their distance to the largest, which
    // is returned.
    V shifted_exponentials(T *row, int64_t by_row, T *sums) {
        V most = load(row), sum{};
        for (int64_t k = 1; k < K; k++) {
            const V l = load(row + k * by_row);
            most = select<T>(l > most, l, most);
        }
        int64_t k = 0;
        for (; k + GROUP <= K; k += GROUP)
            exponentials_of<GROUP>(row + k * by_row, by_row, most, sum);
        for (; k < K; k++) exponentials_of<1>(row + k * by_row, by_row, most, sum);
        store(sums, sum);
        return most;
    }

    template <int C>
    inline __attribute__((always_inline)) void exponentials_of(T *row, int64_t by_row, V most,
                                                               V &sum) {
        V e[C];
        UNROLL for (int g = 0; g < C; g++) e[g] = load(row + g * by_row) - most;
        exponentials<T, C, true>(e);
        UNROLL for (int g = 0; g < C; g++) {
            store(row + g * by_row, e[g]);
            sum += e[g];
        }
    }

    // As `shifted_exponentials`, of the components alone that are near, which are listed:
    // what the rows of the others have is of no use.
    void near_exponentials(int64_t m) {
        int64_t found = 0;
        for (int64_t k = 0; k < K; k++) n_near[k] = 0;
        for (int64_t s = 0; s < used; s += lanes) {
            T *row = r + s;
            V most = load(row), sum{};
            for (int64_t k = 1; k < K; k++) {
                const V l = load(row + k * stride);
                most = select<T>(l > most, l, most);
            }
            const V least = most - (T)NEAR;
            int64_t n_components = 0;
            for (int64_t k = 0; k < K; k++) {
                // NaN is near, so that it is seen.
                const int counts = any(~(load(row + k * stride) <= least));
                near_components[n_components] = (int32_t)k;
                n_components += counts;
                near_places[k * at.tile + n_near[k]] = (int32_t)s;
                n_near[k] += counts;
            }
            int64_t i = 0;
            for (; i + GROUP <= n_components; i += GROUP)
                exponentials_of<GROUP>(row, near_components + i, most, sum);
            for (; i + 2 <= n_components; i += 2)
                exponentials_of<2>(row, near_components + i, most, sum);
            if (i < n_components) exponentials_of<1>(row, near_components + i, most, sum);
            store(total_ + s, sum);
            store(log_norm + s, most);
            found += n_components;
        }
        if (4 * found * lanes > 3 * K * used) whole[m] = WHOLE;
    }

    template <int C>
    inline __attribute__((always_inline)) void exponentials_of(T *row, const int32_t *components,
                                                               V most, V &sum) {
        V e[C];
        UNROLL for (int g = 0; g < C; g++) e[g] = load(row + components[g] * stride) - most;
        exponentials<T, C, true>(e);
        UNROLL for (int g = 0; g < C; g++) {
            store(row + components[g] * stride, e[g]);
            sum += e[g];
        }
    }

    // The most probable component, of logits or of what is proportional to their
    // exponentials; the first of equals. Logits that are nearly equal may have equal
    // exponentials: then the caller decides by these.
    void label() {
        const bool alone = !job.sums && !job.log_norm && !job.resp;
        const T far = model.bounded ? (T)model.far : Simd<T>::largest;
        const T close = sizeof(T) == 8 ? (T)1e-12 : (T)1e-5;
        for (int64_t s = 0; s < n; s++) {
            T most = r[s], second = -Simd<T>::largest;
            int64_t best = 0;
            bool defined = most == most;
            for (int64_t k = 1; k < K; k++) {
                const T l = r[k * stride + s];
                defined = defined && l == l;
                if (l > most) {
                    second = most;
                    most = l;
                    best = k;
                } else if (l > second) {
                    second = l;
                }
            }
            job.labels[start + s] = best;
            const bool clear = most - second > close * (1 + (most < 0 ? -most : most));
            if (alone && (lost[s] || !defined || !clear || !(most > -far && most < far)))
                job.lost[n_lost++] = start + s;
        }
    }

    template <bool DIRECT> void normalise(int64_t m) {
        const bool points = job.sums && !job.weight && n == used && !any_dead;
        if (!points || !add_logarithms<DIRECT>(m)) normalise_each<DIRECT>(m);
        for (int64_t k = 0; k < K; k++) {
            T *row = r + k * stride;
            const int32_t *places = near_places + k * at.tile;
            for (int64_t i = 0; sparse && i < n_near[k]; i++)
                store(row + places[i], load(row + places[i]) * load(factor + places[i]));
            for (int64_t s = 0; !sparse && s < used; s += lanes)
                store(row + s, load(row + s) * load(factor + s));
        }
    }

    template <bool DIRECT> V farthest() {
        return splat<T>(DIRECT ? Simd<T>::underflow
                               : model.bounded || model.cells ? (T)model.far
                                                              : Simd<T>::largest);
    }

    // Of a whole tile without weights: the sum of logarithms is that of a product, whose
    // exponents are added up apart. False, with nothing done, if a sample is far.
    template <bool DIRECT> bool add_logarithms(int64_t m) {
        using I = typename Simd<T>::I;
        using S = Simd<T>;
        const V one = splat<T>((T)1), far = farthest<DIRECT>();
        V least = DIRECT ? -far : splat<T>(-S::limit / 2);
        exponentials<T, 1>(&least);
        const V most = one / least;
        V product = one, maxima{};
        I exponents{}, good = ~I{};
        for (int64_t s = 0; s < used; s += lanes) {
            const V sum = load(total_ + s);
            good &= (sum > least) & (sum < most);
            if (!DIRECT) {
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

    template <bool DIRECT> void normalise_each(int64_t m) {
        using I = typename Simd<T>::I;
        for (int64_t s = 0; s < used; s += lanes) {
            V norm = logarithm<T>(load(total_ + s));
            if (!DIRECT) norm += load(log_norm + s);
            store(log_norm + s, norm);
        }
        if (DIRECT)
            for (int64_t s = 0; s < used; s += step)
                if (any(~near<true>(s)) || any(~near<true>(s + lanes))) again(s);
        const V zero{}, one = splat<T>((T)1);
        V loglik{};
        I bad{};
        for (int64_t s = 0; s < used; s += lanes) {
            const I good = near<false>(s);
            const V w = load(weight + s);
            bad |= ~good;
            loglik += select<T>(good, load(log_norm + s) * w, zero);
            const V each = (job.sums ? w : one) / load(total_ + s);
            store(factor + s, select<T>(good, each, zero));
        }
        double sum = total<T>(loglik);
        if (any(bad) || any_dead) sum = leave(m);
        if (job.sums) job.loglik[m] += sum;
    }

    // Which samples of a register are near enough. NaN is not; nor is a sum of zero.
    template <bool DIRECT> typename Simd<T>::I near(int64_t s) {
        const V norm = load(log_norm + s), sum = load(total_ + s), far = farthest<DIRECT>();
        return (norm < far) & (norm > -far) & (sum < Simd<T>::largest) & (sum > V{});
    }

    // Do samples that are too far for the direct way once more, with a search for the
    // maximum. The others stay as they are.
    void again(int64_t s) {
        logits<false>(s, once_more, step);
        for (int64_t i = 0; i < step; i += lanes) {
            const auto good = near<true>(s + i);
            T *sums = once_more + K * step;
            const V most = shifted_exponentials(once_more + i, step, sums);
            const V sum = load(sums), norm = logarithm<T>(sum) + most;
            store(total_ + s + i, select<T>(good, load(total_ + s + i), sum));
            store(log_norm + s + i, select<T>(good, load(log_norm + s + i), norm));
            for (int64_t k = 0; k < K; k++) {
                T *row = r + k * stride + s + i;
                store(row, select<T>(good, load(row), load(once_more + k * step + i)));
            }
        }
    }

    // Give samples that are far to the caller; return the log-likelihood of the others.
    double leave(int64_t m) {
        double loglik = 0;
        for (int64_t s = 0; s < used; s++) {
            if (!lost[s] && near<false>(s / lanes * lanes)[s % lanes]) {
                loglik += (double)log_norm[s] * weight[s];
                continue;
            }
            for (int64_t k = 0; k < K; k++) r[k * stride + s] = 0;
            if (s < n) job.lost[n_lost++] = m * job.n + sample(s);
        }
        return loglik;
    }

    // --- Order ----------------------------------------------------------------
    //
    // Where clusters are apart, few components count for a sample. Samples are sorted by
    // the component that is likeliest if all had one covariance, so that a tile has those
    // of one cluster. Logits are concave in x: tangents at the middle of a tile are above
    // them, and cost far less. Where the tangent of a component is far below the logit of
    // the likeliest one, nothing else of it is computed.

    bool may_sort() const {
        return coefficients && job.sums && !job.resp && !job.labels && !job.widened() &&
               job.n >= LEAST_SORTED * K;
    }

    // The samples that are done by this, which are few where clusters are not apart.
    int64_t run_sorted() {
        start = 0;
        trying = true;
        run_tile(TRIED < at.tile ? TRIED : at.tile);
        trying = false;
        const int64_t tried = n;
        if (near_share > most_near(model)) return tried;
        pack_coefficients();
        const int64_t parts = (job.n - tried + SORTED - 1) / SORTED;
        for (int64_t i = 0; i < parts; i++) {
            const int64_t begin = tried + i * (job.n - tried) / parts;
            const int64_t count = tried + (i + 1) * (job.n - tried) / parts - begin;
            find_labels(begin, count);
            sort(begin, count);
            run_parts();
        }
        order = nullptr;
        pure = false;
        return job.n;
    }

    // Share of the components that count for a sample.
    double share_near() const {
        int64_t found = 0;
        for (int64_t s = 0; s < n; s++) {
            T most = r[s];
            for (int64_t k = 1; k < K; k++) most = r[k * stride + s] > most ? r[k * stride + s] : most;
            for (int64_t k = 0; k < K; k++) found += !(r[k * stride + s] <= most - (T)NEAR);
        }
        return (double)found / (double)(n * K);
    }

    void pack_coefficients() {
        for (int64_t m = 0; m < M; m++)
            for (int64_t j = 0; j < at.p; j++)
                for (int64_t k = 0; k < at.columns; k++)
                    coefficients[(m * at.p + j) * at.columns + k] =
                        k < K ? (T)model.theta[(m * K + k) * at.p + j] : (T)0;
    }

    // Linear functions that are highest for the nearest mean of the first mixture, by the
    // mean of precisions of trace one.
    void pack_scores() {
        double *mean = place<double>(at.slope), *own = mean + d * d;
        for (int64_t i = 0; i < d * d; i++) mean[i] = 0;
        for (int64_t k = 0; k < K; k++) {
            const double *q = model.theta + k * at.p + 1 + d;
            double trace = 0;
            for (int64_t i = 0, j = 0; i < d; j += d - i++) trace += q[j];
            if (!(trace < 0)) continue;
            const double size = 1 / trace;
            for (int64_t i = 0; i < d; q += d - i++) {
                mean[i * d + i] += q[0] * size;
                for (int64_t j = 0; j < d - i; j++) mean[i * d + i + j] += q[j] * size;
            }
        }
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < i; j++) mean[i * d + j] = mean[j * d + i];
        for (int64_t k = 0; k < at.wide; k++) {
            const double *mu = model.means + (k < K ? k : 0) * d;
            double height = 0;
            for (int64_t i = 0; i < d; i++) {
                own[i] = dot(mean + i * d, mu, d);
                height -= 0.5 * own[i] * mu[i];
                linear[(1 + i) * at.wide + k] = (T)own[i];
            }
            linear[k] = k < K ? (T)height : -Simd<T>::largest;
        }
    }

    // Values of the linear functions of some components, in R registers of samples.
    template <int R>
    inline __attribute__((always_inline)) void linear_of(int64_t k, int64_t s,
                                                         V (&l)[MOST_IN_GROUP][R]) const {
        for (int g = 0; g < MOST_IN_GROUP; g++)
            for (int i = 0; i < R; i++) l[g][i] = splat<T>(linear[k + g]);
        multiply<T, MOST_IN_GROUP>(linear + at.wide + k, t + stride + s, stride, d, l, at.wide);
    }

    void find_labels(int64_t begin, int64_t count) {
        int32_t *label = place<int32_t>(at.labels);
        pack_scores();
        order = nullptr;
        for (start = begin; start < begin + count; start += n) {
            n = begin + count - start < at.tile ? begin + count - start : at.tile;
            used = (n + step - 1) / step * step;
            load_features(t + stride);
            for (int64_t s = 0; s < used; s += step) {
                V most[PAIR], best[PAIR] = {}, l[MOST_IN_GROUP][PAIR];
                for (int i = 0; i < PAIR; i++) most[i] = splat<T>(-Simd<T>::largest);
                for (int64_t k = 0; k < K; k += MOST_IN_GROUP) {
                    linear_of(k, s, l);
                    UNROLL for (int g = 0; g < MOST_IN_GROUP; g++)
                        UNROLL for (int i = 0; i < PAIR; i++) {
                            const auto higher = l[g][i] > most[i];
                            most[i] = select<T>(higher, l[g][i], most[i]);
                            best[i] = select<T>(higher, splat<T>((T)(k + g)), best[i]);
                        }
                }
                for (int64_t i = 0; i < step && s + i < n; i++)
                    label[start - begin + s + i] = (int32_t)best[i / lanes][i % lanes];
            }
        }
    }

    void sort(int64_t begin, int64_t count) {
        const int32_t *label = place<int32_t>(at.labels);
        int32_t *sorted = place<int32_t>(at.order), *first = place<int32_t>(at.first);
        for (int64_t k = 0; k <= K; k++) first[k] = 0;
        for (int64_t i = 0; i < count; i++) first[label[i] + 1]++;
        for (int64_t k = 0; k < K; k++) first[k + 1] += first[k];
        for (int64_t i = 0; i < count; i++) sorted[first[label[i]]++] = (int32_t)(begin + i);
    }

    // Those of each component, as tiles of about the same size, and together those of
    // components that have few.
    void run_parts() {
        const int32_t *sorted = place<int32_t>(at.order), *ends = place<int32_t>(at.first);
        int64_t done = 0;
        for (int64_t k = 0; k < K; k++) {
            const int64_t begin = k ? ends[k - 1] : 0, own = ends[k] - begin;
            if (own < FEWEST && k + 1 < K) continue;
            if (own < FEWEST || done < begin) {
                const int64_t end = own < FEWEST ? ends[k] : begin;
                run_part(sorted, done, end, false);
            }
            if (own >= FEWEST) run_part(sorted, begin, ends[k], true);
            done = ends[k];
        }
    }

    void run_part(const int32_t *sorted, int64_t begin, int64_t end, bool alike) {
        const int64_t parts = (end - begin + at.tile - 1) / at.tile;
        pure = alike;
        for (int64_t i = 0; i < parts; i++) {
            const int64_t from = begin + i * (end - begin) / parts;
            order = sorted + from;
            run_tile(begin + (i + 1) * (end - begin) / parts - from);
        }
    }

    // Tangents at the middle of a tile; return the component that is likeliest there.
    int64_t tangents(int64_t m) {
        T *middle = total_;
        for (int64_t i = 0; i < d; i++) {
            V sum{};
            for (int64_t s = 0; s < used; s += lanes) sum += load(t + (1 + i) * stride + s);
            middle[i] = (T)(total<T>(sum) / (double)used);
        }
        int64_t k = 0, best = 0;
        T most = -Simd<T>::largest, values[2 * lanes];
        for (int64_t size; k < at.columns; k += size) {
            size = k + 2 * lanes <= at.columns ? 2 * lanes : lanes;
            size == lanes ? tangents_of<1>(m, k, values) : tangents_of<2>(m, k, values);
            for (int64_t l = 0; l < size && k + l < K; l++)
                if (values[l] > most) {
                    most = values[l];
                    best = k + l;
                }
        }
        for (k = K; k < at.columns; k++) linear[k] = -Simd<T>::largest;
        return best;
    }

    // Those of R registers of components, and their values in the middle.
    template <int R> void tangents_of(int64_t m, int64_t k, T *values) {
        const int64_t columns = at.columns;
        const T *own = coefficients + m * at.p * columns + k, *q = own + (1 + d) * columns;
        const T *middle = total_;
        T *slopes = place<T>(at.slope);
        V height[R], value[R];
        for (int64_t i = 0; i < d * R; i++) store(slopes + i * lanes, V{});
        UNROLL for (int a = 0; a < R; a++) height[a] = value[a] = load(own + a * lanes);
        for (int64_t i = 0; i < d; i++, q += columns) {
            own += columns;
            T *out = slopes + i * R * lanes;
            const T x = middle[i];
            V slope[R];
            UNROLL for (int a = 0; a < R; a++)
                slope[a] = load(out + a * lanes) + load(q + a * lanes) * (x + x);
            for (int64_t j = i + 1; j < d; j++) {
                q += columns;
                T *other = slopes + j * R * lanes;
                UNROLL for (int a = 0; a < R; a++) {
                    const V c = load(q + a * lanes);
                    slope[a] += c * middle[j];
                    store(other + a * lanes, load(other + a * lanes) + c * x);
                }
            }
            UNROLL for (int a = 0; a < R; a++) {
                const V b = load(own + a * lanes), half = slope[a] * ((T)0.5 * x);
                height[a] -= half;
                value[a] += b * x + half;
                store(linear + (1 + i) * at.wide + k + a * lanes, b + slope[a]);
            }
        }
        UNROLL for (int a = 0; a < R; a++) {
            store(linear + k + a * lanes, height[a]);
            __builtin_memcpy(values + a * lanes, &value[a], sizeof(V));
        }
    }

    // Exponentials of a tile's near components, as `near_exponentials` leaves them.
    void near_logits(int64_t m) {
        const int64_t likeliest = tangents(m), registers = used / lanes;
        for (int64_t k = 0; k < K; k++) n_near[k] = 0;
        for (int64_t i = 0; i < registers; i++)
            near_places[likeliest * at.tile + i] = (int32_t)(i * lanes);
        n_near[likeliest] = (int32_t)registers;
        listed_logits(m, likeliest);
        int64_t first = 0;
        for (; first + step <= used; first += step) find_near<PAIR>(first, likeliest);
        if (first < used) find_near<1>(first, likeliest);
        for (int64_t s = 0; s < used; s += lanes) {
            store(log_norm + s, load(r + likeliest * stride + s));
            store(total_ + s, V{});
        }
        for (int64_t k = 0; k < K; k++) {
            if (k == likeliest || !n_near[k]) continue;
            listed_logits(m, k);
            for (int64_t i = 0; i < n_near[k]; i++) {
                const int64_t s = near_places[k * at.tile + i];
                const V l = load(r + k * stride + s), most = load(log_norm + s);
                store(log_norm + s, select<T>(l > most, l, most));
            }
        }
        for (int64_t k = 0; k < K; k++) {
            const int32_t *places = near_places + k * at.tile;
            int64_t i = 0;
            for (; i + GROUP <= n_near[k]; i += GROUP)
                listed_exponentials<GROUP>(r + k * stride, places + i);
            for (; i < n_near[k]; i++) listed_exponentials<1>(r + k * stride, places + i);
        }
    }

    template <int R> void listed_exponentials(T *row, const int32_t *places) {
        V e[R];
        UNROLL for (int i = 0; i < R; i++) e[i] = load(row + places[i]) - load(log_norm + places[i]);
        exponentials<T, R, true>(e);
        UNROLL for (int i = 0; i < R; i++) {
            store(row + places[i], e[i]);
            store(total_ + places[i], load(total_ + places[i]) + e[i]);
        }
    }

    // List the registers in which the tangent of a component is not far below the logit of
    // the likeliest one.
    template <int R> void find_near(int64_t s, int64_t likeliest) {
        using I = typename Simd<T>::I;
        V least[R], l[MOST_IN_GROUP][R];
        for (int i = 0; i < R; i++)
            least[i] = load(r + likeliest * stride + s + i * lanes) - (T)NEAR;
        for (int64_t k = 0; k < K; k += MOST_IN_GROUP) {
            linear_of(k, s, l);
            I near[MOST_IN_GROUP][R], one{};
            UNROLL for (int g = 0; g < MOST_IN_GROUP; g++)
                UNROLL for (int i = 0; i < R; i++) {
                    near[g][i] = ~(l[g][i] <= least[i]);
                    one |= near[g][i];
                }
            if (!any(one)) continue;
            for (int64_t g = 0; g < MOST_IN_GROUP && k + g < K; g++)
                for (int i = 0; i < R; i++) {
                    if (k + g == likeliest || !any(near[g][i])) continue;
                    int32_t &found = n_near[k + g];
                    near_places[(k + g) * at.tile + found++] = (int32_t)(s + i * lanes);
                }
        }
    }

    // Logits of a component in the registers that are listed.
    void listed_logits(int64_t m, int64_t k) {
        const int64_t last = K > MOST_IN_GROUP ? whole_groups(K - MOST_IN_GROUP) : 0;
        const int64_t group = k < last ? k / GROUP * GROUP : last;
        const int64_t size = k < last ? GROUP : K - last;
        const T *row = packed + (m * K + group) * at.p + k - group;
        T *out = r + k * stride;
        const int32_t *places = near_places + k * at.tile;
        int64_t i = 0, found = n_near[k];
        for (; i + 8 <= found; i += 8) listed_logits_of<8, 1>(row, size, places + i, out);
        for (; i + 4 <= found; i += 4) listed_logits_of<4, 2>(row, size, places + i, out);
        for (; i + 2 <= found; i += 2) listed_logits_of<2, 4>(row, size, places + i, out);
        if (i < found) listed_logits_of<1, 4>(row, size, places + i, out);
    }

    // In so many sums, which do not wait for each other.
    template <int R, int SUMS>
    void listed_logits_of(const T *row, int64_t size, const int32_t *places, T *out) {
        V l[SUMS][R] = {};
        const T *from[R];
        UNROLL for (int i = 0; i < R; i++) from[i] = t + places[i];
        int64_t j = 0;
        for (; j + SUMS <= at.p; j += SUMS)
            UNROLL for (int a = 0; a < SUMS; a++) {
                const T c = row[(j + a) * size];
                UNROLL for (int i = 0; i < R; i++) l[a][i] += c * load(from[i] + (j + a) * stride);
            }
        for (; j < at.p; j++)
            UNROLL for (int i = 0; i < R; i++) l[0][i] += row[j * size] * load(from[i] + j * stride);
        UNROLL for (int i = 0; i < R; i++) {
            UNROLL for (int a = 1; a < SUMS; a++) l[0][i] += l[a][i];
            store(out + places[i], l[0][i]);
        }
    }

    // --- Sums ---------------------------------------------------------------

    // Registers in which a responsibility of one of two rows counts.
    int64_t listed(const T *one, const T *other, int32_t *places) {
        const V least = splat<T>(negligible);
        int64_t found = 0;
        for (int64_t s = 0; s < used; s += lanes) {
            places[found] = (int32_t)s;
            found += any((load(one + s) > least) | (load(other + s) > least));
        }
        return found;
    }

    // Of some rows of T(x), from the first on, a few at a time, which stay in the cache.
    template <bool LISTED_ONES> void sum_rows(int64_t m, int64_t first, int64_t rows) {
        constexpr int64_t few_rows = 2 * COLUMNS;
        for (int64_t j = first; j < rows; j += few_rows) {
            const int64_t some = rows - j < few_rows ? rows - j : few_rows;
            for (int64_t k = 0; k < K;) {
                const bool both = !sparse && k + ROWS <= K;
                V *to = acc + (m * K + k) * at.n_acc + j;
                const int32_t *places = near_places + k * at.tile;
                const int64_t found = LISTED_ONES ? n_near[k] : used / lanes;
                if (found && both)
                    accumulate_columns<T, ROWS, LISTED_ONES>(r + k * stride, t + j * stride, stride,
                                                             places, found, to, at.n_acc, some);
                else if (found)
                    accumulate_columns<T, 1, LISTED_ONES>(r + k * stride, t + j * stride, stride,
                                                          places, found, to, at.n_acc, some);
                k += both ? ROWS : 1;
            }
        }
    }

    void sum_expanded(int64_t m) {
        if (at.rows_stay) return sum_long(m);
        // What t components with one scale matrix need of q(x) is the sum over all of them:
        // it is put where the first one has its own.
        const bool together = common_rest && model.tails;
        const int64_t rows = together ? 1 + d : at.p;
        if (pure) {
            for (int64_t k = 0; k < K; k++)
                if (n_near[k])
                    accumulate_columns<T, 1, true>(r + k * stride, t, stride,
                                                   near_places + k * at.tile, n_near[k],
                                                   acc + (m * K + k) * at.n_acc, at.n_acc, rows);
            return;
        }
        if (!sparse && rows >= LISTED)
            for (int64_t k = 0; k < K; k += ROWS) {
                const T *row = r + k * stride;
                n_near[k] = (int32_t)listed(row, k + 1 < K ? row + stride : row,
                                            near_places + k * at.tile);
            }
        sparse || rows >= LISTED ? sum_rows<true>(m, 0, rows) : sum_rows<false>(m, 0, rows);
        if (!together) return;
        for (int64_t s = 0; s < used; s += lanes) {
            V sum{};
            for (int64_t k = 0; k < K; k++) sum += load(r + k * stride + s);
            store(scales + s, sum);
        }
        accumulate_columns<T, 1, false>(scales, t + rows * stride, stride, list, used / lanes,
                                        acc + m * K * at.n_acc + rows, at.n_acc, at.p - rows);
    }

    // About the component's mean, of the registers of samples that count.
    void sum_centred(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            const T *row = r + k * stride;
            V *to = acc + (m * K + k) * at.n_acc;
            if (at.across || sparse) {
                sum_gathered(m, k, to);
                continue;
            }
            const int64_t found = listed(row, row, list);
            if (!found) continue;
            const double *means = model.means + (m * K + k) * d;
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

    // List the samples that count for a component; return how many.
    int64_t list_samples(int64_t k) {
        const T *row = r + k * stride;
        const int32_t *places = near_places + k * at.tile;
        const int64_t registers = sparse ? n_near[k] : used / lanes;
        int64_t samples = 0;
        for (int64_t i = 0; i < registers; i++) {
            const int64_t first = sparse ? places[i] : i * lanes;
            for (int64_t s = first; s < first + lanes; s++) {
                list[samples] = (int32_t)s;
                samples += row[s] > negligible;
            }
        }
        return samples;
    }

    // The same of the samples that count, side by side.
    void sum_gathered(int64_t m, int64_t k, V *to) {
        const int64_t samples = list_samples(k);
        if (!samples) return;
        if (at.across) return add_products(m, k, samples, to);
        const T *row = r + k * stride;
        const int64_t found = (samples + lanes - 1) / lanes, padded = found * lanes;
        gather(m, k, list, samples, padded);
        for (int64_t s = 0; s < padded; s++) rc[s] = s < samples ? row[list[s]] : 0;
        for (int64_t l = 0; l < found; l++) to[0] += load(rc + l * lanes);
        for (int64_t i = 0; i < d; i++) {
            V first = to[1 + i];
            for (int64_t l = 0; l < padded; l += lanes) {
                const V weighted = load(c + i * stride + l) * load(rc + l);
                store(rc + (1 + i) * stride + l, weighted);
                first += weighted;
            }
            to[1 + i] = first;
        }
        model.kind == PAIRS ? sum_pairs(to + 1 + d, found) : sum_squares(to + 1 + d, found);
    }

    // Sums of listed samples of which each has its features side by side: there are few in
    // a tile, which would not fill registers, and of sums there are a register's lanes as
    // many where it has samples.
    void add_products(int64_t m, int64_t k, int64_t samples, V *to) {
        const int64_t across = at.across;
        const double *means = model.means + (m * K + k) * d;
        T *own = products_of + (m * K + k) * (across + 1) * across, *first = own + across * across;
        T count = 0;
        for (int64_t s = 0; s < samples; s++) {
            const T weight_of = r[k * stride + list[s]], *x = t + stride + list[s];
            T *y = c + s * across, *weighted = rc + s * across;
            for (int64_t i = 0; i < d; i++) y[i] = x[i * stride] - (T)means[i];
            for (int64_t i = d; i < across; i++) y[i] = 0;
            for (int64_t i = 0; i < across; i += lanes) {
                const V ry = load(y + i) * weight_of;
                store(weighted + i, ry);
                store(first + i, load(first + i) + ry);
            }
            count += weight_of;
            if (job.widened())
                for (int64_t i = 0; i < d; i++)
                    own[i * across + i] += weight_of * squares[i * stride + list[s]];
        }
        to[0] += V{count};
        for (int64_t i = 0; i < d; i += GROUP) {
            int64_t j = i / lanes * lanes;
            for (; j + 3 * lanes <= across; j += 3 * lanes)
                add_products_of<3>(i, j, samples, own);
            switch ((across - j) / lanes) {
            case 2: add_products_of<2>(i, j, samples, own); break;
            case 1: add_products_of<1>(i, j, samples, own); break;
            }
        }
    }

    template <int R> void add_products_of(int64_t i, int64_t j, int64_t samples, T *own) {
        const int64_t across = at.across;
        V sum[GROUP][R];
        UNROLL for (int g = 0; g < GROUP; g++)
            UNROLL for (int l = 0; l < R; l++)
                sum[g][l] = load(own + (i + g) * across + j + l * lanes);
        const T *left = rc + i, *right = c + j;
        for (int64_t s = 0; s < samples; s++, left += across, right += across) {
            V y[R];
            UNROLL for (int l = 0; l < R; l++) y[l] = load(right + l * lanes);
            UNROLL for (int g = 0; g < GROUP; g++)
                UNROLL for (int l = 0; l < R; l++) sum[g][l] += left[g] * y[l];
        }
        UNROLL for (int g = 0; g < GROUP; g++)
            UNROLL for (int l = 0; l < R; l++)
                store(own + (i + g) * across + j + l * lanes, sum[g][l]);
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
        if (job.widened())
            for (i = 0; i < d; i++) to[i * width + i] += widths(i, found);
    }

    void sum_squares(V *to, int64_t found) {
        for (int64_t i = 0; i < d; i++) {
            V sum{};
            for (int64_t l = 0; l < found; l++)
                sum += load(c + i * stride + l * lanes) * load(rc + (1 + i) * stride + l * lanes);
            if (job.widened()) sum += widths(i, found);
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
        unflushed = 0;
        if (at.rows_stay) return flush_rows();
        for (int64_t k = 0; k < M * K; k++, from += at.n_acc) {
            if (at.across) {
                *out++ += empty(from[0]);
                T *own = products_of + k * (at.across + 1) * at.across;
                T *first = own + at.across * at.across;
                for (int64_t i = 0; i < d; i++) *out++ += (double)first[i];
                for (int64_t i = 0; i < d; i++)
                    for (int64_t j = i; j < d; j++) *out++ += (double)own[i * at.across + j];
                for (int64_t i = 0; i < (at.across + 1) * at.across; i++) own[i] = 0;
                continue;
            }
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

    // --- Many features ----------------------------------------------------------
    //
    // Where q(x) has no products of different features, samples stay rows of features, and
    // their squares are made where they are needed: nothing is transposed or written twice.

    // What there is of features beside their products with coefficients of z.
    enum Parts { FIRST, SECOND, WIDENED };

    int64_t row_parts() const { return model.kind == SQUARES ? 2 : 1; }

    int64_t row_registers() const { return (d + lanes - 1) / lanes; }

    void pack_rows() {
        const int64_t parts = row_parts();
        T *out = coefficient_rows;
        for (int64_t k = 0; k < M * K; k++)
            for (int64_t a = 0; a < parts; a++, out += at.row)
                for (int64_t i = 0; i < at.row; i++)
                    out[i] = i < d ? (T)model.theta[k * at.p + 1 + a * d + i] : (T)0;
        for (int64_t i = 0; i < at.row; i++) {
            const bool known = i < d && job.atoms;
            const double *own = known ? job.atoms + i * (1 + 2 * job.n_atoms) : nullptr;
            moves[i] = i < d ? (T)model.shift[i] : (T)0;
            moves[at.row + i] = i < d ? (T)model.scale[i] : (T)0;
            moves[2 * at.row + i] = known ? (T)own[0] : (T)0;
            moves[3 * at.row + i] = moves[4 * at.row + i] = moves[2 * at.row + i];
            if (!known || !job.n_atoms || own[1] != own[1]) continue;
            moves[3 * at.row + i] = ((T)own[1] - moves[i]) * moves[at.row + i];
            moves[4 * at.row + i] = (T)own[2];
        }
    }

    // What is added to the squares of features from the i-th on.
    V widths_of(V z, int64_t i) const {
        const T *own = moves + 2 * at.row + i;
        return select<T>(z == load(own + at.row), load(own + 2 * at.row), load(own));
    }

    void load_long() {
        for (int64_t s = 0; s < at.tile && any_dead; s++) lost[s] = 0;
        any_dead = false;
        with_source([&](auto x) { load_long_from<decltype(x)>(); });
        for (int64_t s = n; s < used; s++) clear(s);
    }

    void clear(int64_t s) {
        for (int64_t i = 0; i < at.row; i++) t[s * at.row + i] = 0;
        squares[s] = 0;
    }

    // Rows, and their norms, which are not finite where a square is not.
    template <class X> void load_long_from() {
        const char *x = job.x + start * job.sample_stride;
        const int64_t by_feature = job.feature_stride, whole_ones = row_registers() * lanes;
        for (int64_t s = 0; s < n; s++, x += job.sample_stride) {
            T *z = t + s * at.row;
            int64_t done = 0;
            V norms[GROUP] = {};
            if (by_feature == (int64_t)sizeof(X)) {
                done = load_registers<GROUP>((const X *)x, z, 0, norms);
                done = load_registers<1>((const X *)x, z, done, norms);
            }
            for (int64_t i = done; i < d; i++) z[i] = (T) * (const X *)(x + i * by_feature);
            for (int64_t i = d; i < whole_ones; i++) z[i] = 0;
            for (int64_t i = done; i < whole_ones; i += lanes)
                norms[0] += moved(z + i, i, load(z + i));
            for (int i = 1; i < GROUP; i++) norms[0] += norms[i];
            squares[s] = (T)total<T>(norms[0]);
            if (squares[s] <= Simd<T>::largest) continue;
            for (int64_t i = 0; i < d; i++)
                if (!(z[i] * z[i] <= Simd<T>::largest)) lost[s] = 1;
            if (!lost[s]) continue;
            any_dead = true;
            clear(s);
        }
    }

    // Standardise numbers, and return their squares.
    V moved(T *to, int64_t i, V x) {
        const V y = (x - load(moves + i)) * load(moves + at.row + i);
        store(to, y);
        return model.kind == NORM && job.atoms ? y * y + widths_of(y, i) : y * y;
    }

    // As many as R registers have, as long as there are so many; returns how many are done.
    template <int R, class X> int64_t load_registers(const X *x, T *z, int64_t i, V *norms) {
#ifdef SHUFFLED
        typedef X From __attribute__((vector_size(lanes * sizeof(X)), aligned(1)));
        for (; i + R * lanes <= d; i += R * lanes)
            UNROLL for (int a = 0; a < R; a++) {
                const int64_t at = i + a * lanes;
                norms[a] += moved(z + at, at, __builtin_convertvector(*(const From *)(x + at), V));
            }
#endif
        return i;
    }

    // Of a few samples at a time, which stay in the nearest cache; meanwhile the next tile
    // comes from memory.
    void long_logits(int64_t m) {
        constexpr int few = lanes < 8 ? 8 / lanes : 1;
        const int64_t fitting = NEAREST / (at.row * (int64_t)sizeof(T)) / lanes * lanes;
        const int64_t some = fitting > lanes ? fitting : lanes;
        const int64_t left = job.n - start - n, next = left < n ? left : n;
        const char *ahead = job.x + (start + n) * job.sample_stride;
        const char *end = ahead + (m ? 0 : next * job.sample_stride);
        const int64_t share = job.sample_stride * some * few / K + LINE;
        for (int64_t s = 0; s < used; s += some)
            for (int64_t k = 0; k < K; k += few) {
                const int64_t until = s + some < used ? s + some : used;
                for (int64_t at = s; at < until; at += lanes) long_logits_at(m, k, at);
                for (int64_t i = 0; i < share && ahead < end; i += LINE, ahead += LINE)
                    __builtin_prefetch(ahead);
            }
    }

    void long_logits_at(int64_t m, int64_t k, int64_t s) {
        constexpr int few = lanes < 8 ? 8 / lanes : 1;
        const bool all = k + few <= K;
        with_parts([&](auto parts) {
            constexpr int Q = decltype(parts)::value;
            if (all) return long_logits_of<few, Q>(m, k, s);
            for (int64_t last = k; last < K; last++) long_logits_of<1, Q>(m, last, s);
        });
    }

    // Call a function with what there is.
    template <class F> void with_parts(const F &f) {
        if (model.kind != SQUARES) return f(Constant<FIRST>());
        job.atoms ? f(Constant<WIDENED>()) : f(Constant<SECOND>());
    }

    template <int C, int Q> void long_logits_of(int64_t m, int64_t k, int64_t s) {
        constexpr bool SQUARED = Q != FIRST;
        constexpr int64_t parts = SQUARED ? 2 : 1;
        const T *z = t + s * at.row, *of = coefficient_rows + (m * K + k) * parts * at.row;
        const int64_t registers = row_registers();
        V l[C][lanes] = {};
        for (int64_t i = 0; i < registers; i++, z += lanes, of += lanes) {
            V first[C], second[C];
            UNROLL for (int g = 0; g < C; g++) {
                first[g] = load(of + g * parts * at.row);
                if (SQUARED) second[g] = load(of + (g * parts + 1) * at.row);
            }
            UNROLL for (int a = 0; a < lanes; a++) {
                const V x = load(z + a * at.row);
                const V wide = Q == WIDENED ? widths_of(x, i * lanes) : V{};
                UNROLL for (int g = 0; g < C; g++) {
                    l[g][a] += (SQUARED ? second[g] * x + first[g] : first[g]) * x;
                    if (Q == WIDENED) l[g][a] += second[g] * wide;
                }
            }
        }
        UNROLL for (int g = 0; g < C; g++) {
            const double *theta_of = model.theta + (m * K + k + g) * at.p;
            V logits = totals<T>(l[g]) + (T)theta_of[0];
            if (model.kind == NORM) logits += (T)theta_of[1 + d] * load(squares + s);
            store(r + (k + g) * stride + s, logits);
        }
    }

    // Two components together where nearly all samples count for both.
    void sum_long(int64_t m) {
        int32_t *together = near_components;
        for (int64_t k = 0, size; k < K; k += size) {
            const bool two = !sparse && k + 1 < K && 3 * (counting(k) + counting(k + 1)) > 5 * n;
            size = two ? 2 : 1;
            together[k] = two;
            if (!two) {
                int32_t *places = near_places + k * at.tile;
                n_near[k] = (int32_t)list_samples(k);
                for (int64_t i = 0; i < n_near[k]; i++) places[i] = list[i];
            }
            for (int64_t i = 0; i < size; i++) add_counts(m, k + i, two);
        }
        with_parts([&](auto parts) { sum_long_rows<decltype(parts)::value>(m); });
    }

    // How many samples count for a component.
    int64_t counting(int64_t k) const {
        typename Simd<T>::I found{};
        for (int64_t s = 0; s < used; s += lanes)
            found -= load(r + k * stride + s) > splat<T>(negligible);
        int64_t sum = 0;
        for (int i = 0; i < lanes; i++) sum += found[i];
        return sum;
    }

    void add_counts(int64_t m, int64_t k, bool all) {
        const T *row = r + k * stride;
        V *to = acc + (m * K + k) * at.n_acc, counts{}, products{};
        T count = 0, norms = 0;
        for (int64_t i = 0; !all && i < n_near[k]; i++) {
            const int32_t s = near_places[k * at.tile + i];
            count += row[s];
            norms += row[s] * squares[s];
        }
        to[0][0] += count;
        to[1][0] += norms;
        for (int64_t s = 0; all && s < used; s += lanes) {
            counts += load(row + s);
            products += load(row + s) * load(squares + s);
        }
        to[0] += counts;
        to[1] += products;
    }

    // A few columns at a time, which stay in the cache.
    template <int Q> void sum_long_rows(int64_t m) {
        constexpr int few = Q == FIRST ? 2 * COLUMNS : COLUMNS;
        const int64_t registers = row_registers();
        for (int64_t i = 0; i < registers; i += few) {
            const int64_t end = i + few < registers ? i + few : registers;
            for (int64_t k = 0; k < K; k++)
                if (near_components[k])
                    sum_some<2, few / 2, Q>(m, k++, i, end);
                else if (n_near[k])
                    sum_some<1, few, Q>(m, k, i, end);
        }
    }

    template <int A, int B, int Q>
    void sum_some(int64_t m, int64_t k, int64_t begin, int64_t end) {
        for (; begin + B <= end; begin += B) sum_columns<A, B, Q>(m, k, begin);
        if constexpr (B > 1) sum_some<A, B / 2, Q>(m, k, begin, end);
    }

    // Of A components, one that has listed samples or two that have all.
    template <int A, int B, int Q> void sum_columns(int64_t m, int64_t k, int64_t b) {
        constexpr bool SQUARED = Q != FIRST;
        const int64_t parts = row_parts() * at.row, samples = A == 1 ? n_near[k] : n;
        T *first = row_sums + (m * K + k) * parts + b * lanes, *second = first + at.row;
        const T *z = t + b * lanes, *row = r + k * stride;
        const int32_t *places = near_places + k * at.tile;
        V sums[A][B], of_squares[A][B];
        UNROLL for (int a = 0; a < A; a++)
            UNROLL for (int i = 0; i < B; i++) {
                sums[a][i] = load(first + a * parts + i * lanes);
                if (SQUARED) of_squares[a][i] = load(second + a * parts + i * lanes);
            }
        for (int64_t l = 0; l < samples; l++) {
            const int64_t s = A == 1 ? places[l] : l;
            const T *x = z + s * at.row;
            UNROLL for (int i = 0; i < B; i++) {
                const V y = load(x + i * lanes);
                // Of one component a product with its weight serves both sums.
                const V one = A == 1 ? y * row[s] : y;
                V square = one * y;
                if (Q == WIDENED) {
                    const V wide = widths_of(y, (b + i) * lanes);
                    square += A == 1 ? wide * row[s] : wide;
                }
                UNROLL for (int a = 0; a < A; a++) {
                    if (A == 1) {
                        sums[a][i] += one;
                        if (SQUARED) of_squares[a][i] += square;
                    } else {
                        sums[a][i] += y * row[a * stride + s];
                        if (SQUARED) of_squares[a][i] += square * row[a * stride + s];
                    }
                }
            }
        }
        UNROLL for (int a = 0; a < A; a++)
            UNROLL for (int i = 0; i < B; i++) {
                store(first + a * parts + i * lanes, sums[a][i]);
                if (SQUARED) store(second + a * parts + i * lanes, of_squares[a][i]);
            }
    }

    void flush_rows() {
        const int64_t parts = row_parts();
        double *out = job.sums;
        V *counts = acc;
        T *from = row_sums;
        for (int64_t k = 0; k < M * K; k++, counts += at.n_acc) {
            *out++ += empty(counts[0]);
            for (int64_t a = 0; a < parts; a++, from += at.row)
                for (int64_t i = 0; i < d; i++) {
                    *out++ += (double)from[i];
                    from[i] = 0;
                }
            const double norms = empty(counts[1]);
            if (model.kind == NORM) *out++ += norms;
        }
    }

    // --- Missing values -------------------------------------------------------
    //
    // They are zero in T(x), as if that were observed. With g = P_M x − (Pμ)_M, the slope
    // of −log N there, and C = P_MM⁻¹, the density of what was observed is higher by
    // ½ gᵀCg − ½ log|P_MM| + ½|M| log 2π, the conditional mean is e = −Cg, and the
    // conditional covariance is C. Components are the lanes of registers.

    // Coefficients of each feature for registers of components. Those that pad the last
    // register, and noise, which has no place, are of variance one about zero.
    void pack_gaps() {
        const int64_t wide = at.padded, one = model.shared ? 1 : wide;
        for (int64_t m = 0; m < M; m++)
            for (int64_t k = 0; k < wide; k++) {
                const double *linear = model.theta + (m * K + k) * at.p + 1, *q = linear + d;
                for (int64_t i = 0; i < d; i++) {
                    const int64_t to = (m * d + i) * wide + k;
                    cells[to] = k < K ? (T)model.cells[(m * K + k) * d + i] : (T)0;
                    slopes[to] = k < K ? (T)linear[i] : (T)0;
                }
                T *of = precisions + m * d * d * one + k;
                for (int64_t i = 0; i < d && k < one; i++)
                    for (int64_t j = i; j < d; j++) {
                        double p = k < K ? -*q++ * (i == j ? 2 : 1) : 0;
                        if (i == j && p == 0) p = 1;
                        of[(i * d + j) * one] = of[(j * d + i) * one] = (T)p;
                    }
            }
        const int64_t size = M * d * wide * (d + 1);
        for (int64_t i = 0; job.sums && i < size; i++) missing[i] = 0;
    }

    // Find missing values, and put what becomes zero in their place.
    void find_gaps(T *z) {
        using I = typename Simd<T>::I;
        using U = typename Simd<T>::U;
        constexpr int64_t bits = 8 * sizeof(T);
        for (int64_t w = 0; w < at.words; w++) {
            const int64_t first = w * bits, most = d - first < bits ? d - first : bits;
            for (int64_t s = 0; s < n; s += lanes) {
                U gaps_of{}, bit = U{} + 1;
                for (int64_t i = first; i < first + most; i++, bit += bit) {
                    const V x = load(z + i * stride + s);
                    const I gap = x != x;
                    gaps_of |= (U)gap & bit;
                    store(z + i * stride + s, select<T>(gap, splat<T>((T)model.shift[i]), x));
                }
                *(U *)(found + w * at.tile + s) = gaps_of;
            }
        }
        list_gaps();
    }

    // In the order of how many there are: then loops over them are foreseen. The tile ends
    // where there is no more room for what completes its samples.
    void list_gaps() {
        for (int64_t c = 0; c <= d; c++) gap_starts[c] = 0;
        int64_t room = at.room;
        for (int64_t s = 0; s < n; s++) {
            int32_t c = 0;
            for (int64_t w = 0; w < at.words; w++)
                c += __builtin_popcountll(found[w * at.tile + s]);
            room -= size_of(c);
            if (room < 0) {
                n = s;
                used = (n + step - 1) / step * step;
                break;
            }
            list[s] = c;
            gap_starts[c]++;
        }
        // Samples without gaps come last.
        int32_t next = 0;
        for (int64_t c = 1; c <= d; c++) {
            const int32_t samples = gap_starts[c];
            gap_starts[c] = next;
            next += samples;
        }
        with_gaps = gap_starts[0] = next;
        for (int64_t s = 0; s < n; s++) {
            const int32_t g = gap_starts[list[s]]++;
            gap_rows[g] = (int32_t)s;
            n_gaps[g] = list[s];
        }
        for (int64_t g = 0; g < with_gaps; g++) {
            int32_t *to = gaps + g * d;
            for (int64_t w = 0; w < at.words; w++)
                for (uint64_t left = found[w * at.tile + gap_rows[g]]; left; left &= left - 1)
                    *to++ = (int32_t)(w * 8 * sizeof(T)) + __builtin_ctzll(left);
        }
    }

    static int64_t triangle(int64_t c) { return c * (c + 1) / 2; }

    // Numbers that complete a sample with so many gaps: e and −C.
    int64_t size_of(int64_t c) const {
        const int64_t matrix = model.shared ? (triangle(c) + lanes - 1) / lanes * lanes
                                            : triangle(c) * at.padded;
        return c * at.padded + matrix;
    }

    void add_to_logits(int64_t s, int64_t k, V value) {
        T *to = r + k * stride + s;
        if (K - k >= lanes)
            UNROLL for (int64_t l = 0; l < lanes; l++) to[l * stride] += value[l];
        else
            for (int64_t l = 0; l < K - k; l++) to[l * stride] += value[l];
    }

    static T natural(T x) { return logarithm<T>(splat<T>(x))[0]; }
    static V natural(V x) { return logarithm<T>(x); }
    static T positive(T x) { return x > 0 ? x : (T)__builtin_nan(""); }
    static V positive(V x) { return select<T>(x > V{}, x, splat<T>((T)__builtin_nan(""))); }

    // A -> −A⁻¹, of which there is the lower triangle, by sweeps; return log|A|.
    template <class X, int C> INLINE X invert(X *a, X *column, int64_t n) {
        const int64_t c = C ? C : n;
        X product = X{} + (T)1, logs{};
        for (int64_t p = 0; p < c; p++) {
            X *row = a + triangle(p);
            const X pivot = positive(row[p]), inverse = (T)1 / pivot;
            product = product * pivot;
            if (p % 4 == 3) {
                logs = logs + natural(product);
                product = X{} + (T)1;
            }
            for (int64_t i = 0; i < p; i++) column[i] = row[i];
            for (int64_t i = p + 1; i < c; i++) column[i] = a[triangle(i) + p];
            for (int64_t i = 0; i < p; i++) {
                const X scaled = column[i] * inverse;
                for (int64_t j = 0; j <= i; j++) a[triangle(i) + j] -= scaled * column[j];
                row[i] = scaled;
            }
            for (int64_t i = p + 1; i < c; i++) {
                const X scaled = column[i] * inverse;
                X *to = a + triangle(i);
                for (int64_t j = 0; j < p; j++) to[j] -= scaled * column[j];
                for (int64_t j = p + 1; j <= i; j++) to[j] -= scaled * column[j];
                to[p] = scaled;
            }
            row[p] = -inverse;
        }
        return c % 4 ? logs + natural(product) : logs;
    }

    // Of so many gaps, which the compiler knows of up to three.
    template <bool SHARED> void complete_some(int64_t m, int64_t g, T *e) {
        switch (n_gaps[g]) {
        case 1: return complete_one<SHARED, 1>(m, g, e);
        case 2: return complete_one<SHARED, 2>(m, g, e);
        case 3: return complete_one<SHARED, 3>(m, g, e);
        default: return complete_one<SHARED, 0>(m, g, e);
        }
    }

    void complete(int64_t m) {
        T *to = filled;
        for (int64_t g = 0; g < with_gaps; g++) {
            model.shared ? complete_some<true>(m, g, to) : complete_some<false>(m, g, to);
            to += size_of(n_gaps[g]);
        }
    }

    // A sample's values, in the order of features.
    const T *values_of(int64_t s) {
        T *x = (T *)((V *)few + 3 * d);
        for (int64_t j = 0; j < d; j++) x[j] = t[(1 + j) * stride + s];
        return x;
    }

    static void get(const T *p, T &x) { x = *p; }
    static void get(const T *p, V &x) { x = load(p); }
    template <bool SHARED> static V entry(const T *p) { return SHARED ? splat(*p) : load(p); }

    // P_M x and the lower triangle of P_MM.
    template <class X, int C>
    inline __attribute__((always_inline)) void gather(const T *own, int64_t wide, const int32_t *where, int64_t n, const T *x,
                       X *across, X *a) {
        const int64_t c = C ? C : n;
        for (int64_t i = 0; i < c; i++) {
            const T *row = own + where[i] * d * wide;
            X even{}, odd{}, p;
            int64_t j = 0;
            for (; j + 2 <= d; j += 2) {
                get(row + j * wide, p);
                even += p * x[j];
                get(row + (j + 1) * wide, p);
                odd += p * x[j + 1];
            }
            if (j < d) {
                get(row + j * wide, p);
                even += p * x[j];
            }
            across[i] = even + odd;
            for (int64_t l = 0; l <= i; l++) get(row + where[l] * wide, a[triangle(i) + l]);
        }
    }

    // With ρ = g + P_MM e, which rounding leaves, gᵀCg is −eᵀ(g + ρ) to second order in the
    // error of e; that becomes e − Cρ.
    template <bool SHARED, int C> void complete_one(int64_t m, int64_t g, T *e) {
        using X = typename Choice<SHARED, T, V>::type;
        constexpr int64_t size = sizeof(X) / sizeof(T);
        const int64_t c = C ? C : n_gaps[g], wide = at.padded, s = gap_rows[g];
        const int64_t each = SHARED ? 1 : wide;
        const int32_t *where = gaps + g * d;
        const T *x = values_of(s), *own = precisions + m * d * d * each;
        T *to = e + c * wide;
        X known[C ? C : 1], other[C ? C : 1], triangular[C ? C * (C + 1) / 2 : 1], log_det{};
        V known_slope[C ? C : 1], known_rest[C ? C : 1];
        X *across = C ? known : (X *)few, *column = C ? other : across + d;
        V *slope = C ? known_slope : (V *)few + 2 * d, *rest = C ? known_rest : (V *)few + d;
        for (int64_t v = 0; v < wide; v += lanes) {
            X *a = C ? triangular : (X *)to;
            if (!SHARED || v == 0) {
                gather<X, C>(own + v, each, where, c, x, across, a);
                log_det = invert<X, C>(a, column, c);
                if (C)
                    for (int64_t i = 0; i < triangle(c); i++) ((X *)to)[i] = a[i];
            }
            V value = V{} - log_det;
            for (int64_t i = 0; i < c; i++) {
                const int64_t cell = (m * d + where[i]) * wide + v;
                slope[i] = across[i] - load(slopes + cell);
                value += (T)2 * load(cells + cell);
            }
            for (int64_t i = 0; i < c; i++) store(e + i * wide + v, of_row(a, slope, i, c));
            const T *of_lanes = own + (SHARED ? 0 : v);
            for (int64_t i = 0; i < c; i++) {
                rest[i] = slope[i];
                for (int64_t l = 0; l < c; l++)
                    rest[i] += entry<SHARED>(of_lanes + (where[i] * d + where[l]) * each) *
                               load(e + l * wide + v);
                value -= (slope[i] + rest[i]) * load(e + i * wide + v);
            }
            for (int64_t i = 0; i < c && C != 1; i++)
                store(e + i * wide + v, load(e + i * wide + v) + of_row(a, rest, i, c));
            if (job.widened()) value -= widths_between<SHARED>(g, of_lanes, a);
            add_to_logits(s, v, (T)0.5 * value);
            if (!SHARED) to += triangle(c) * size;
        }
    }

    // Of −C times a vector.
    template <class X> INLINE V of_row(const X *a, const V *vector, int64_t i, int64_t c) {
        V sum{};
        for (int64_t l = 0; l <= i; l++) sum += a[triangle(i) + l] * vector[l];
        for (int64_t l = i + 1; l < c; l++) sum += a[triangle(l) + i] * vector[l];
        return sum;
    }

    // P_Mj.
    template <bool SHARED> V *column_of(const T *own, int64_t g, int64_t j) {
        V *column = (V *)few + 4 * d;
        for (int64_t i = 0; i < n_gaps[g]; i++)
            column[i] = entry<SHARED>(own + (gaps[g * d + i] * d + j) * (SHARED ? 1 : at.padded));
        return column;
    }

    // −Σ_j P_jM C P_Mj w_j²/12.
    template <bool SHARED, class X> V widths_between(int64_t g, const T *own, const X *a) {
        V sum{};
        for (int64_t j = 0; j < d; j++) {
            const T square = squares[j * stride + gap_rows[g]];
            if (square == 0) continue;
            const V *column = column_of<SHARED>(own, g, j);
            for (int64_t i = 0; i < n_gaps[g]; i++)
                sum += square * column[i] * of_row(a, column, i, n_gaps[g]);
        }
        return sum;
    }

    void sum_gaps(int64_t m) {
        const T *e = filled;
        V *resp = (V *)few + 6 * d;
        for (int64_t g = 0; g < with_gaps; g++) {
            if (responsibilities_of(gap_rows[g], resp))
                model.shared ? sum_some<true>(m, g, e, resp) : sum_some<false>(m, g, e, resp);
            e += size_of(n_gaps[g]);
        }
    }

    // False, if all are zero.
    bool responsibilities_of(int64_t s, V *out) {
        bool some = false;
        for (int64_t k = 0; k < at.padded; k += lanes) {
            const T *from = r + k * stride + s;
            V own{};
            if (K - k >= lanes)
                UNROLL for (int64_t l = 0; l < lanes; l++) own[l] = from[l * stride];
            else
                for (int64_t l = 0; l < K - k; l++) own[l] = from[l * stride];
            some = some || any(own > V{});
            *out++ = own;
        }
        return some;
    }

    template <bool SHARED> void sum_some(int64_t m, int64_t g, const T *e, const V *resp) {
        switch (n_gaps[g]) {
        case 1: return sum_one<SHARED, 1>(m, g, e, resp);
        case 2: return sum_one<SHARED, 2>(m, g, e, resp);
        default: return sum_one<SHARED, 0>(m, g, e, resp);
        }
    }

    // Σ r [e, e xᵀ, eeᵀ + C], of which features that are missing are rows.
    template <bool SHARED, int C>
    void sum_one(int64_t m, int64_t g, const T *e, const V *resp) {
        const int64_t c = C ? C : n_gaps[g], wide = at.padded;
        const int32_t *where = gaps + g * d;
        const T *x = values_of(gap_rows[g]), *a = e + c * wide;
        T *first = missing + m * d * (d + 1) * wide, *cross = first + d * wide;
        constexpr int64_t size = SHARED ? 1 : lanes;
        for (int64_t v = 0; v < wide; v += lanes) {
            const V own = resp[v / lanes];
            for (int64_t i = 0; i < c; i++) {
                const V weighted = own * load(e + i * wide + v);
                T *to = first + where[i] * wide + v, *row = cross + where[i] * d * wide + v;
                store(to, load(to) + weighted);
                for (int64_t j = 0; j < d; j++)
                    store(row + j * wide, load(row + j * wide) + weighted * x[j]);
                for (int64_t l = 0; l <= i; l++) {
                    const V within = own * entry<SHARED>(a + (triangle(i) + l) * size);
                    T *pair = row + where[l] * wide;
                    store(pair, load(pair) + (weighted * load(e + l * wide + v) - within));
                }
            }
            if (job.widened()) add_widths<SHARED>(m, g, v, a, own, cross + v);
            if (!SHARED) a += triangle(c) * lanes;
        }
    }

    // What completes a row has widths, too, by those of what it follows from.
    template <bool SHARED>
    void add_widths(int64_t m, int64_t g, int64_t v, const T *a, V resp, T *cross) {
        using X = typename Choice<SHARED, T, V>::type;
        const int64_t c = n_gaps[g], wide = at.padded;
        const int32_t *where = gaps + g * d;
        const T *own = precisions + m * d * d * (SHARED ? 1 : wide) + (SHARED ? 0 : v);
        V *follows = (V *)few + 5 * d;
        for (int64_t j = 0; j < d; j++) {
            const T square = squares[j * stride + gap_rows[g]];
            if (square == 0) continue;
            const V *column = column_of<SHARED>(own, g, j);
            for (int64_t i = 0; i < c; i++) {
                follows[i] = of_row((const X *)a, column, i, c);
                const V weighted = resp * square * follows[i];
                T *row = cross + where[i] * d * wide, *to = row + j * wide;
                store(to, load(to) + weighted);
                for (int64_t l = 0; l <= i; l++) {
                    to = row + where[l] * wide;
                    store(to, load(to) + weighted * follows[l]);
                }
            }
        }
    }

    // Add what is missing to the sums.
    void add_gaps() {
        const int64_t wide = at.padded;
        for (int64_t m = 0; m < M; m++)
            for (int64_t k = 0; k < K; k++) {
                double *sums = job.sums + (m * K + k) * at.p, *q = sums + 1 + d;
                const T *first = missing + m * d * (d + 1) * wide + k;
                const T *cross = first + d * wide;
                for (int64_t i = 0; i < d; i++) {
                    sums[1 + i] += first[i * wide];
                    *q++ += cross[(i * d + i) * wide];
                    for (int64_t j = i + 1; j < d; j++)
                        *q++ += cross[(i * d + j) * wide] + cross[(j * d + i) * wide];
                }
            }
    }

    // --- What else is asked for -----------------------------------------------

    void write(int64_t m) {
        if (job.log_norm) {
            double *out = job.log_norm + start;
            if (model.common) {
                squared_norms(common, t + stride, total_, (T)0, d, used);
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

// ---------------------------------------------------------------------------
// A step of EM on few samples: parameters → their pass → the next parameters
// ---------------------------------------------------------------------------

enum Structure : int64_t {
    FULL, TIED, DIAG, SPHERICAL, EII, EEI, VEI, EVI, VEE, EVE, VVE, EEV, VEV, EVV
};

// How the covariances of a structure are kept: as those of the first four.
constexpr int64_t storage_of(int64_t structure) {
    return structure <= SPHERICAL ? structure
           : structure == EII     ? (int64_t)SPHERICAL
           : structure <= EVI     ? (int64_t)DIAG
                                  : (int64_t)FULL;
}

enum Weights : int64_t { POINTS, STICKS, DIRICHLET };

// The prior of a Bayesian mixture, whose V₀ is the target of a step. Every field has eight
// bytes. Of `truncation` components those that a step does not have are empty.
struct Prior {
    int64_t weights;  // POINTS: there is no prior, and all else is null
    double truncation, concentration, precision, degrees;
    double dimensions, null, log_null;   // with variance and without, and log|Σ| of these
    double norm;                         // log B(W₀, ν₀), less its −¼ d(d − 1) log π
    const double *mean, *row;            // m₀, and what each row adds to the scatter
    double *effective, *counts;          // of q: what stands for log w_k, and n_k
    double *next_effective, *next_counts;
};

enum Degrees : int64_t { GAUSSIAN, FIXED, EACH, COMMON };

// What t mixtures have beside Gaussian ones, where all else is null. Every field has eight
// bytes. Degrees of freedom are fixed where they start, or each component has its own, or
// they have one in common.
struct Freedom {
    int64_t kind;
    double least, most;  // of what is estimated
    double normal;       // from here on a component is computed as a Gaussian
    double reach;        // squared distance from which on a density is level
    double dimensions;   // in which samples vary
    double labelled;     // by which samples of a label count for less the farther they are
    const double *start;
    double *df, *next_df;  // (M, K)
};

// Every field has eight bytes. Parameters are those of M mixtures, in standardised
// coordinates; the penalty is that of ε pseudo-observations of the target, or KL(q ‖ p).
struct Step {
    int64_t structure, itemsize, d, K, M;
    int64_t threads;  // that may share a long pass; what is found does not depend on it
    double total_weight, epsilon;
    double single, condition;  // of the expanded form in single precision, and at all
    double far, negligible;
    const double *shift, *scale;
    double *target;                       // as the structure's scatter
    const double *second;                 // tied: Σ v z zᵀ of all samples
    const double *ridge;                  // added to variances, (d,) or (1,), or null
    const double *constant;               // (d,), variances of constant features, 0 of others;
                                          // or null
    double *weights, *means, *cholesky;   // those of the last step, after several
    double *penalty;                      // (M,)
    double *next_weights, *next_means, *next_cholesky;
    int64_t *about_means;  // (M,), whether the sums are about the means
    Job job;               // with sums and loglik
    char *scratch;
    Prior prior;
    Freedom freedom;
};

constexpr double HALF_LOG_2PI = 0.91893853320467274, LOG_2 = 0.69314718055994531;
constexpr double TINY = 2.2250738585072014e-308;

INLINE double log_of(double x) { return logarithm<double>(splat(x < TINY ? TINY : x))[0]; }

INLINE double exp_of(double x) {
    Vec<double> v = splat(x);
    exponentials<double, 1>(&v);
    return v[0];
}

// From here on the first terms of Stirling's series are enough for double precision.
constexpr double STIRLING = 8;

inline double larger(double x, double y) { return x > y ? x : y; }

// log x − ψ(x), x ≥ STIRLING.
inline double digamma_rest(double x) {
    const double y = 1 / (x * x);
    const double series =
        1 / 12. - y * (1 / 120. - y * (1 / 252. - y * (1 / 240. - y * (1 / 132. -
        y * (691 / 32760. - y * (1 / 12.))))));
    return 0.5 / x + y * series;
}

// ψ(x), x > 0: ψ(x) = ψ(x + 1) − 1/x up to where the series holds.
inline double digamma(double x) {
    double sum = 0;
    for (; x < STIRLING; x += 1) sum -= 1 / x;
    return sum + log_of(x) - digamma_rest(x);
}

// log x − ψ(x), x > 0, which cancel where x is large.
inline double log_less_digamma(double x) {
    return x < STIRLING ? log_of(x) - digamma(x) : digamma_rest(x);
}

// x² ψ′(x) − x, x > 0: information of a Gamma's sample on the logarithm of its shape x.
inline double shape_information(double x) {
    const double shape = x;
    double sum = 0;
    for (; x < STIRLING; x += 1) sum += 1 / (x * x);
    const double y = 1 / (x * x);
    const double series =
        1 / 6. - y * (1 / 30. - y * (1 / 42. - y * (1 / 30. - y * (5 / 66. -
        y * (691 / 2730. - y * (7 / 6.))))));
    if (shape >= STIRLING) return 0.5 + series / x;
    return shape * shape * (sum + 1 / x + y * (0.5 + series / x)) - shape;
}

// The shape x between bounds with log x − ψ(x) = gap: see `gamma_shape` in Python.
inline double gamma_shape(double gap, double least, double most) {
    const auto clipped = [=](double x) { return x < least ? least : x > most ? most : x; };
    const double s = larger(gap, 1e-12);
    double x = (3 - s + __builtin_sqrt((s - 3) * (s - 3) + 24 * s)) / (12 * s);
    for (int step = 0; step < 3; step++) {
        x = clipped(x);
        x = 1 / larger(1 / x - (log_less_digamma(x) - s) / shape_information(x), 1e-12);
    }
    return clipped(x);
}

// What Stirling's formula leaves of log Γ(x), x ≥ STIRLING.
inline double log_gamma_rest(double x) {
    const double y = 1 / (x * x);
    const double series =
        1 / 12. - y * (1 / 360. - y * (1 / 1260. - y * (1 / 1680. - y * (1 / 1188. -
        y * (691 / 360360. - y * (1 / 156.))))));
    return series / x;
}

// log Γ(x), x > 0.
inline double log_gamma(double x) {
    double product = 1;
    for (; x < STIRLING; x += 1) product *= x;
    return (x - 0.5) * log_of(x) - x + HALF_LOG_2PI + log_gamma_rest(x) - log_of(product);
}

// log Γ(x + more) − log Γ(x), which cancel where x is large.
inline double log_rising(double x, double more) {
    if (x < 100) return log_gamma(x + more) - log_gamma(x);
    const double u = 1 + more / x;
    const double log1p = u == 1 ? more / x : log_of(u) * (more / x) / (u - 1);
    return (x - 0.5) * log1p + more * (log_of(x + more) - 1) + log_gamma_rest(x + more) -
           log_gamma_rest(x);
}

// ---------------------------------------------------------------------------
// The M-steps of shapes, as constraint.py has them
// ---------------------------------------------------------------------------

// a b or aᵀ b, of matrices (d, d).
inline void product(const double *a, const double *b, int64_t d, bool transposed, double *out) {
    for (int64_t i = 0; i < d; i++) {
        double *row = out + i * d;
        for (int64_t j = 0; j < d; j++) row[j] = 0;
        for (int64_t l = 0; l < d; l++) {
            const double own = transposed ? a[l * d + i] : a[i * d + l];
            for (int64_t j = 0; j < d; j++) row[j] += own * b[l * d + j];
        }
    }
}

// L of the lower triangle of a symmetric matrix, in its place. False, if that is not
// positive definite.
inline bool cholesky(double *a, int64_t d) {
    for (int64_t j = 0; j < d; j++)
        for (int64_t i = j; i < d; i++) {
            double sum = a[i * d + j];
            for (int64_t l = 0; l < j; l++) sum -= a[i * d + l] * a[j * d + l];
            if (i == j) {
                if (!(sum > 0)) return false;
                a[j * d + j] = __builtin_sqrt(sum);
            } else {
                a[i * d + j] = sum / a[j * d + j];
            }
        }
    return true;
}

// Eigenvalues, ascending, and eigenvectors, the columns of v, of a symmetric matrix, which
// is overwritten: by Jacobi's rotations.
inline void eigen(double *a, int64_t d, double *values, double *v) {
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) v[i * d + j] = i == j;
    for (int64_t sweep = 0; sweep < 40; sweep++) {
        bool still = true;
        for (int64_t p = 0; p < d; p++)
            for (int64_t q = p + 1; q < d; q++) {
                const double off = a[p * d + q], x = a[p * d + p], y = a[q * d + q];
                if (off * off <= 1e-36 * __builtin_fabs(x * y)) continue;
                still = false;
                const double ratio = (y - x) / (2 * off);
                const double root = __builtin_sqrt(1 + ratio * ratio);
                const double t = ratio >= 0 ? 1 / (ratio + root) : 1 / (ratio - root);
                const double c = 1 / __builtin_sqrt(1 + t * t), s = t * c;
                for (int64_t l = 0; l < d; l++) {
                    const double g = a[l * d + p], h = a[l * d + q];
                    a[l * d + p] = c * g - s * h;
                    a[l * d + q] = s * g + c * h;
                }
                for (int64_t l = 0; l < d; l++) {
                    const double g = a[p * d + l], h = a[q * d + l];
                    a[p * d + l] = c * g - s * h;
                    a[q * d + l] = s * g + c * h;
                }
                a[p * d + q] = a[q * d + p] = 0;
                for (int64_t l = 0; l < d; l++) {
                    const double g = v[l * d + p], h = v[l * d + q];
                    v[l * d + p] = c * g - s * h;
                    v[l * d + q] = s * g + c * h;
                }
            }
        if (still) break;
    }
    for (int64_t i = 0; i < d; i++) values[i] = a[i * d + i];
    for (int64_t i = 0; i < d; i++) {
        int64_t least = i;
        for (int64_t j = i + 1; j < d; j++)
            if (values[j] < values[least]) least = j;
        if (least == i) continue;
        const double kept = values[i];
        values[i] = values[least];
        values[least] = kept;
        for (int64_t l = 0; l < d; l++) {
            const double own = v[l * d + i];
            v[l * d + i] = v[l * d + least];
            v[l * d + least] = own;
        }
    }
}

// Of W_k and n_k, which have their pseudo-observations, covariances of one of the shapes.
// Names and constants are those of constraint.py, which says what each of them does.
class Shapes {
    static constexpr int64_t NEWTON_STEPS = 30, ROTATIONS = 200, HALVINGS = 30;
    static constexpr double LEFT = 1e-14, SHARE = 1e-2, FLAT = 1e-10, WIDEST = 0.5;
    static constexpr double LONGEST = 50, GOLDEN = 0.6180339887498949;
    static constexpr double EPSILON = 2.220446049250313e-16;

    int64_t shape, K, d, square;
    double *axes, *parts, *values, *x, *trial, *slope, *move, *p, *products, *system;
    double *a, *b, *c, *gradient, *last, *direction, *weights;
    double total = 0;

  public:
    double *W, *n;  // (K, d, d), (K, d) or (K,), and (K,)

    Shapes(int64_t shape, int64_t K, int64_t d, double *&at)
        : shape(shape), K(K), d(d), square(d * d) {
        auto take = [&at](int64_t count) {
            double *here = at;
            at += count;
            return here;
        };
        if (shape <= SPHERICAL) return;
        const int64_t each = storage_of(shape) == FULL ? square : d;
        W = take(K * each);
        n = take(K);
        values = take(K * d);
        x = take(K), trial = take(K), slope = take(K), move = take(K);
        p = take(K), weights = take(K);
        products = take(iterates() ? K * K : 0);
        system = take(iterates() ? K * K : 0);
        const int64_t matrices = each == square;
        axes = take(matrices * (K + 1) * square);
        parts = take(matrices * K * square);
        a = take(square), b = take(square), c = take(square);
        gradient = take(square), last = take(square), direction = take(square);
    }

    // Overwrite W by the covariances; `log_det` are log|U| of each component before, and
    // `before` are its covariances, if its axes are asked for. False, if there are none.
    bool estimate(const double *log_det, const double *before) {
        total = 0;
        for (int64_t k = 0; k < K; k++) total += n[k];
        switch (shape) {
        case EII: return pooled(1, d * total);
        case EEI: return pooled(d, total);
        case VEI: return proportional(W, log_det);
        case EVI: return equal_volumes(W, d);
        case VEE: return proportional_matrices(log_det);
        case EVE:
        case VVE: return common_axes(before);
        case EEV:
        case VEV: return own_axes(log_det);
        default: return equal_determinants();
        }
    }

    bool wants_covariances() const { return shape == EVE || shape == VVE; }

  private:
    bool iterates() const { return shape == VEI || shape == VEE || shape == VEV; }

    bool pooled(int64_t size, double count) {
        for (int64_t i = 0; i < size; i++) {
            double sum = 0;
            for (int64_t k = 0; k < K; k++) sum += W[k * size + i];
            for (int64_t k = 0; k < K; k++) W[k * size + i] = sum / count;
        }
        return true;
    }

    // λ V_k / |V_k|^{1/d} of variances, or of `size` entries with volumes x.
    bool equal_volumes(double *V, int64_t size, bool known = false) {
        double sum = 0;
        for (int64_t k = 0; k < K; k++) {
            if (!known) {
                double logs = 0;
                for (int64_t i = 0; i < d; i++) {
                    if (!(V[k * d + i] > 0)) return false;
                    logs += log_of(V[k * d + i]);
                }
                x[k] = exp_of(logs / (double)d);
            }
            sum += x[k];
        }
        for (int64_t k = 0; k < K; k++)
            for (int64_t i = 0; i < size; i++) V[k * size + i] *= sum / total / x[k];
        return true;
    }

    bool equal_determinants() {
        for (int64_t k = 0; k < K; k++) {
            double logs = 0, largest = 0;
            for (int64_t i = 0; i < square; i++) a[i] = W[k * square + i];
            for (int64_t i = 0; i < d; i++)
                if (a[i * d + i] > largest) largest = a[i * d + i];
            if (!cholesky(a, d)) return false;
            for (int64_t i = 0; i < d; i++) logs += 2 * log_of(a[i * d + i]);
            x[k] = exp_of(logs / (double)d);
            if (!(x[k] > EPSILON * largest)) x[k] = EPSILON * largest;
        }
        return equal_volumes(W, square, true);
    }

    // Raise d eigenvalues to what rounding leaves of them beside the largest.
    void above_rounding(double *each) const {
        double largest = 0;
        for (int64_t i = 0; i < d; i++)
            if (each[i] > largest) largest = each[i];
        for (int64_t i = 0; i < d; i++)
            if (!(each[i] > EPSILON * largest)) each[i] = EPSILON * largest;
    }

    // D diag(v) Dᵀ
    void composed(const double *D, const double *v, double *out) const {
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j <= i; j++) {
                double sum = 0;
                for (int64_t l = 0; l < d; l++) sum += D[i * d + l] * v[l] * D[j * d + l];
                out[i * d + j] = out[j * d + i] = sum;
            }
    }

    bool own_axes(const double *log_det) {
        for (int64_t k = 0; k < K; k++) {
            for (int64_t i = 0; i < square; i++) a[i] = W[k * square + i];
            eigen(a, d, values + k * d, axes + k * square);
            above_rounding(values + k * d);
        }
        if (shape == VEV) {
            if (!proportional(values, log_det)) return false;
        } else {
            for (int64_t i = 0; i < d; i++) {
                double sum = 0;
                for (int64_t k = 0; k < K; k++) sum += values[k * d + i];
                for (int64_t k = 0; k < K; k++) values[k * d + i] = sum / total;
            }
        }
        for (int64_t k = 0; k < K; k++)
            composed(axes + k * square, values + k * d, W + k * square);
        return true;
    }

    // Minimise F(x) = N log|Σ_k exp(x_k) V_k| − d Σ_k n_k x_k. `terms` of x sets p and
    // products, and returns log|V|.
    template <class Terms> bool inverse_volumes(const double *log_det, Terms terms) {
        double mean = 0;
        for (int64_t k = 0; k < K; k++) mean += (x[k] = 2 * log_det[k] / (double)d) / (double)K;
        for (int64_t k = 0; k < K; k++) x[k] -= mean;
        auto objective = [this](const double *at, double logs) {
            double sum = 0;
            for (int64_t k = 0; k < K; k++) sum += n[k] / total * at[k];
            return logs - (double)d * sum;
        };
        double value = objective(x, terms(x));
        for (int64_t step = 0; step < NEWTON_STEPS; step++) {
            for (int64_t k = 0; k < K; k++) {
                slope[k] = p[k] - (double)d * n[k] / total;
                for (int64_t l = 0; l < K; l++)
                    system[k * K + l] = (double)d / (double)(K * K) - products[k * K + l];
                // A common factor has no effect.
                system[k * K + k] += p[k] + 1e-13 * (double)d;
            }
            if (!cholesky(system, K)) return false;
            double decrement = 0, largest = 0;
            for (int64_t k = 0; k < K; k++) {
                double sum = -slope[k];
                for (int64_t l = 0; l < k; l++) sum -= system[k * K + l] * move[l];
                move[k] = sum / system[k * K + k];
            }
            for (int64_t k = K - 1; k >= 0; k--) {
                double sum = move[k];
                for (int64_t l = k + 1; l < K; l++) sum -= system[l * K + k] * move[l];
                move[k] = sum / system[k * K + k];
            }
            for (int64_t k = 0; k < K; k++) {
                decrement -= move[k] * slope[k];
                largest = larger(largest, __builtin_fabs(move[k]));
            }
            if (!(decrement > LEFT * (double)d)) {
                // What is left is in the rounding of F, but not of x.
                for (int64_t k = 0; k < K; k++) x[k] += move[k];
                return true;
            }
            double length = largest > LONGEST ? LONGEST / largest : 1;
            bool found = false;
            for (int64_t i = 0; i < HALVINGS && !found; i++, length /= 2) {
                for (int64_t k = 0; k < K; k++) trial[k] = x[k] + length * move[k];
                const double after = objective(trial, terms(trial));
                if (!(after <= value + LEFT)) continue;
                found = true;
                value = after;
            }
            if (!found) return true;
            for (int64_t k = 0; k < K; k++) x[k] = trial[k];
        }
        return true;
    }

    // λ_k B of variances (K, d), in their place.
    bool proportional(double *V, const double *log_det) {
        auto terms = [this, V](const double *at) {
            double logs = 0;
            for (int64_t k = 0; k < K; k++) {
                weights[k] = exp_of(at[k]);
                p[k] = 0;
            }
            for (int64_t i = 0; i < K * K; i++) products[i] = 0;
            for (int64_t i = 0; i < d; i++) {
                double whole = 0;
                for (int64_t k = 0; k < K; k++) whole += weights[k] * V[k * d + i];
                logs += log_of(whole);
                for (int64_t k = 0; k < K; k++) {
                    const double own = weights[k] * V[k * d + i] / whole;
                    p[k] += own;
                    for (int64_t l = 0; l < K; l++)
                        products[k * K + l] += own * weights[l] * V[l * d + i] / whole;
                }
            }
            return logs;
        };
        if (!inverse_volumes(log_det, terms)) return false;
        for (int64_t i = 0; i < d; i++) {
            a[i] = 0;
            for (int64_t k = 0; k < K; k++) a[i] += exp_of(x[k]) * V[k * d + i] / total;
        }
        for (int64_t k = 0; k < K; k++) {
            double ratio = 0;
            for (int64_t i = 0; i < d; i++) ratio += V[k * d + i] / a[i];
            ratio /= n[k] * (double)d;
            for (int64_t i = 0; i < d; i++) V[k * d + i] = a[i] * ratio;
        }
        return true;
    }

    // a := Σ_k exp(x_k) W_k, and its Cholesky factor in b, inverted in c.
    bool summed(const double *at) {
        for (int64_t i = 0; i < square; i++) a[i] = 0;
        for (int64_t k = 0; k < K; k++) {
            weights[k] = exp_of(at[k]);
            for (int64_t i = 0; i < square; i++) a[i] += weights[k] * W[k * square + i];
        }
        for (int64_t i = 0; i < square; i++) b[i] = a[i];
        if (!cholesky(b, d)) return false;
        for (int64_t j = 0; j < d; j++)
            for (int64_t i = 0; i < d; i++) {
                double sum = i == j;
                for (int64_t l = j; l < i; l++) sum -= b[i * d + l] * c[l * d + j];
                c[i * d + j] = i < j ? 0 : sum / b[i * d + i];
            }
        return true;
    }

    // λ_k C of matrices.
    bool proportional_matrices(const double *log_det) {
        bool definite = true;
        auto terms = [this, &definite](const double *at) {
            if (!(definite = definite && summed(at))) return 0.0;
            double logs = 0;
            for (int64_t i = 0; i < d; i++) logs += 2 * log_of(b[i * d + i]);
            for (int64_t k = 0; k < K; k++) {
                double *part = parts + k * square;
                // L⁻¹ W L⁻ᵀ, by (L⁻¹ (L⁻¹ W)ᵀ).
                product(c, W + k * square, d, false, gradient);
                for (int64_t i = 0; i < d; i++)
                    for (int64_t j = 0; j < d; j++) last[i * d + j] = gradient[j * d + i];
                product(c, last, d, false, part);
                p[k] = 0;
                for (int64_t i = 0; i < square; i++) part[i] *= weights[k];
                for (int64_t i = 0; i < d; i++) p[k] += part[i * d + i];
            }
            for (int64_t k = 0; k < K; k++)
                for (int64_t l = 0; l <= k; l++) {
                    double sum = 0;
                    for (int64_t i = 0; i < square; i++)
                        sum += parts[k * square + i] * parts[l * square + i];
                    products[k * K + l] = products[l * K + k] = sum;
                }
            return logs;
        };
        if (!inverse_volumes(log_det, terms) || !definite || !summed(x)) return false;
        for (int64_t k = 0; k < K; k++) {
            // tr(W (Σ exp(x) W)⁻¹) = ‖L⁻¹ W^{1/2}‖², by the rows of L⁻¹.
            double trace = 0;
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = 0; j <= i; j++) {
                    double sum = 0;
                    for (int64_t l = 0; l <= i; l++) sum += W[k * square + j * d + l] * c[i * d + l];
                    trace += c[i * d + j] * sum;
                }
            move[k] = trace / (n[k] * (double)d);
        }
        for (int64_t k = 0; k < K; k++)
            for (int64_t i = 0; i < square; i++) W[k * square + i] = a[i] * move[k];
        return true;
    }

    // parts := Dᵀ V_k D
    void turned(const double *V, const double *D, double *out) {
        for (int64_t k = 0; k < K; k++) {
            product(V + k * square, D, d, false, a);
            product(D, a, d, true, out + k * square);
        }
    }

    // The objective of common axes, and the weights, of matrices turned to them.
    double look(const double *M) {
        double value = 0, top = -1e300, whole = 0;
        for (int64_t k = 0; k < K; k++) {
            double logs = 0;
            for (int64_t i = 0; i < d; i++) logs += log_of(M[k * square + i * d + i]);
            if (shape == VVE) {
                weights[k] = n[k] / total;
                value += weights[k] * logs;
            } else {
                weights[k] = logs / (double)d;
                top = larger(top, weights[k]);
            }
        }
        if (shape == VVE) return value;
        for (int64_t k = 0; k < K; k++) whole += weights[k] = exp_of(weights[k] - top);
        for (int64_t k = 0; k < K; k++) weights[k] /= whole;
        return (double)d * (log_of(whole) + top);
    }

    // b := Cayley's map of length · direction, (I − S/2)⁻¹ (I + S/2).
    void rotation(double length) {
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < d; j++) {
                const double half = 0.5 * length * direction[i * d + j];
                a[i * d + j] = (i == j) - half;
                b[i * d + j] = (i == j) + half;
            }
        // The symmetric part of I − S/2 is I: no pivots are needed.
        for (int64_t l = 0; l < d; l++)
            for (int64_t i = l + 1; i < d; i++) {
                const double times = a[i * d + l] / a[l * d + l];
                for (int64_t j = l + 1; j < d; j++) a[i * d + j] -= times * a[l * d + j];
                for (int64_t j = 0; j < d; j++) b[i * d + j] -= times * b[l * d + j];
            }
        for (int64_t i = d - 1; i >= 0; i--)
            for (int64_t j = 0; j < d; j++) {
                double sum = b[i * d + j];
                for (int64_t l = i + 1; l < d; l++) sum -= a[i * d + l] * b[l * d + j];
                b[i * d + j] = sum / a[i * d + i];
            }
    }

    // Axes that covariances have in common, by a combination of these.
    void first_axes(const double *before) {
        for (int64_t i = 0; i < square; i++) a[i] = 0;
        for (int64_t k = 0; k < K; k++) {
            const double *own = before + k * square;
            double size = 0;
            for (int64_t i = 0; i < d; i++) size += own[i * d + i] / (double)d;
            const double place = (double)(k + 1) * GOLDEN;
            const double weight = 1 + place - (double)(int64_t)place;
            for (int64_t i = 0; i < square; i++) a[i] += weight / size * own[i];
        }
        eigen(a, d, values, axes);
    }

    // The common axes are turned to those that fit best, as in `rotated`.
    void turn_axes() {
        double *M = parts, *other = axes + square;
        turned(W, axes, M);
        double value = look(M), least = 0, gained = 0;
        for (int64_t step = 0; step < ROTATIONS; step++) {
            double decrement = 0, change = 0, along = 0, widest = WIDEST;
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = i + 1; j < d; j++) {
                    double sum = 0, information = 0;
                    for (int64_t k = 0; k < K; k++) {
                        const double *own = M + k * square;
                        const double first = own[i * d + i], second = own[j * d + j];
                        const double apart = 2 * weights[k] * (first - second) / (first * second);
                        sum += own[i * d + j] * apart;
                        information += (first - second) * apart;
                    }
                    const double scoring = sum / larger(information, FLAT);
                    gradient[i * d + j] = sum;
                    gradient[j * d + i] = -scoring;
                    decrement += scoring * sum;
                    change += scoring * (sum - last[i * d + j]);
                }
            if (step == 0) least = larger(LEFT * (double)d, SHARE * decrement);
            if (!(decrement > least)) break;
            const double beta = step ? larger(change / larger(gained, TINY), 0.0) : 0;
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = i + 1; j < d; j++) {
                    double &own = direction[i * d + j];
                    own = (beta > 0 ? beta * own : 0) + gradient[j * d + i];
                    along += own * gradient[i * d + j];
                    last[i * d + j] = gradient[i * d + j];
                }
            for (int64_t i = 0; i < d; i++) {
                direction[i * d + i] = 0;
                for (int64_t j = i + 1; j < d; j++) {
                    double &own = direction[i * d + j];
                    if (!(along < 0)) own = gradient[j * d + i];
                    direction[j * d + i] = -own;
                    widest = larger(widest, __builtin_fabs(own));
                }
            }
            gained = decrement;
            double length = WIDEST / widest;
            bool found = false;
            for (int64_t i = 0; i < HALVINGS && !found; i++, length /= 4) {
                rotation(length);
                turned(M, b, other);
                const double after = look(other);
                if (!(after <= value)) continue;
                found = true;
                value = after;
            }
            if (!found) break;
            double *const swapped = M;
            M = other;
            other = swapped;
            product(axes, b, d, false, a);
            for (int64_t i = 0; i < square; i++) axes[i] = a[i];
        }
    }

    bool common_axes(const double *before) {
        first_axes(before);
        turn_axes();
        // Products of many rotations are not quite one.
        for (int64_t j = 0; j < d; j++) {
            for (int64_t l = 0; l <= j; l++) {
                double sum = 0;
                for (int64_t i = 0; i < d; i++) sum += axes[i * d + l] * axes[i * d + j];
                const double scale = l == j ? 1 / __builtin_sqrt(sum) : sum;
                for (int64_t i = 0; i < d; i++)
                    axes[i * d + j] = l == j ? axes[i * d + j] * scale
                                             : axes[i * d + j] - scale * axes[i * d + l];
            }
        }
        turned(W, axes, parts);
        for (int64_t k = 0; k < K; k++) {
            double *own = values + k * d;
            for (int64_t i = 0; i < d; i++) own[i] = parts[k * square + i * d + i];
            above_rounding(own);
            if (shape == VVE)
                for (int64_t i = 0; i < d; i++) own[i] /= n[k];
        }
        if (shape == EVE && !equal_volumes(values, d)) return false;
        for (int64_t k = 0; k < K; k++) composed(axes, values + k * d, W + k * square);
        return true;
    }
};

constexpr double SQRT_2 = 1.4142135623730951;

// ---------------------------------------------------------------------------
// Threads
// ---------------------------------------------------------------------------

// What threads sleep on.
#ifdef _WIN32
struct Bell {
    Slot mutex, condition;

    void lock() { AcquireSRWLockExclusive(&mutex); }
    void unlock() { ReleaseSRWLockExclusive(&mutex); }
    void sleep() { SleepConditionVariableSRW(&condition, &mutex, 0xffffffff, 0); }
    void ring() { WakeAllConditionVariable(&condition); }
};
#else
struct Bell {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

    void lock() { pthread_mutex_lock(&mutex); }
    void unlock() { pthread_mutex_unlock(&mutex); }
    void sleep() { pthread_cond_wait(&condition, &mutex); }
    void ring() { pthread_cond_broadcast(&condition); }
};
#endif

// The thread that has work, and others that help with it. These are started when they are
// first asked for, and stay: between two passes they look out for the next one, and sleep
// where it does not come soon. Nobody waits for one that is late, but for what it has begun;
// on a busy machine asleep, so that there is a core for it.
class Team {
    static constexpr int64_t LOOKS = 1000, MOST_HELPERS = 255, MOST_CHUNKS = 4095;
    uint64_t job = 0;  // its number, and of 8, 12 and 12 bits: helpers, chunks, the next one
    int64_t done = 0, n_helpers = 0;
    int32_t busy = 0, asleep = 0, waits = 0;
    void (*work)(void *of, int64_t chunk, int64_t place) = nullptr;
    void *of = nullptr;
    Bell bell;

    static constexpr int64_t helpers_of(uint64_t job) { return job >> 24 & MOST_HELPERS; }
    static constexpr int64_t chunks_of(uint64_t job) { return job >> 12 & MOST_CHUNKS; }
    static constexpr int64_t next_of(uint64_t job) { return job & MOST_CHUNKS; }

    static bool left_in(uint64_t job, int64_t place) {
        return next_of(job) < chunks_of(job) && place <= helpers_of(job);
    }

    static void pause() {
#ifdef X86
        _mm_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }

    // Take the next chunk and do it; false if there is none.
    bool work_on(int64_t place) {
        uint64_t seen = __atomic_load_n(&job, __ATOMIC_ACQUIRE);
        while (left_in(seen, place))
            if (__atomic_compare_exchange_n(&job, &seen, seen + 1, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
                const int64_t chunks = chunks_of(seen);
                work(of, next_of(seen), place);
                const bool last = __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST) == chunks;
                if (last && __atomic_load_n(&waits, __ATOMIC_SEQ_CST)) wake();
                return true;
            }
        return false;
    }

    void wake() {
        bell.lock();
        bell.ring();
        bell.unlock();
    }

    bool finished(int64_t chunks) const {
        return __atomic_load_n(&done, __ATOMIC_SEQ_CST) == chunks;
    }

    void wait_for(int64_t chunks) {
        for (int64_t looks = 0; looks < LOOKS; looks++, pause())
            if (finished(chunks)) return;
        bell.lock();
        __atomic_store_n(&waits, 1, __ATOMIC_SEQ_CST);
        while (!finished(chunks)) bell.sleep();
        __atomic_store_n(&waits, 0, __ATOMIC_SEQ_CST);
        bell.unlock();
    }

    void help(int64_t place) {
        for (int64_t looks = 0;; looks++) {
            if (work_on(place)) looks = 0;
            if (looks < LOOKS) {
                pause();
                continue;
            }
            bell.lock();
            __atomic_add_fetch(&asleep, 1, __ATOMIC_SEQ_CST);
            while (!left_in(__atomic_load_n(&job, __ATOMIC_SEQ_CST), place)) bell.sleep();
            __atomic_add_fetch(&asleep, -1, __ATOMIC_SEQ_CST);
            bell.unlock();
            looks = 0;
        }
    }

    // Start threads until there are so many helpers, if the system has them.
    void employ(int64_t helpers);

  public:
    int64_t size() const { return n_helpers; }

    // Be alone again, as after a fork.
    void forget() { *this = Team(); }

    // Call f(chunk, place) for each chunk, in as many threads, if no other work is shared.
    // `place` is that of the thread, less than `threads` and `chunks`: 0 of this one.
    template <class F> void share(int64_t chunks, int64_t threads, F f) {
        const bool alone = chunks <= 1 || chunks > MOST_CHUNKS || threads <= 1;
        if (alone || __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) {
            for (int64_t i = 0; i < chunks; i++) f(i, 0);
            return;
        }
        const int64_t useful = threads < chunks ? threads : chunks;
        const int64_t helpers = useful <= MOST_HELPERS ? useful - 1 : MOST_HELPERS;
        employ(helpers);
        work = [](void *of, int64_t chunk, int64_t place) { (*(F *)of)(chunk, place); };
        of = &f;
        __atomic_store_n(&done, 0, __ATOMIC_RELAXED);
        const uint64_t number = (__atomic_load_n(&job, __ATOMIC_RELAXED) >> 32) + 1;
        const uint64_t next = number << 32 | (uint64_t)helpers << 24 | (uint64_t)chunks << 12;
        __atomic_store_n(&job, next, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&asleep, __ATOMIC_SEQ_CST)) wake();
        while (work_on(0)) {}
        wait_for(chunks);
        __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    }

    static Team all;

  private:
    // What a new thread does, at its place.
#ifdef _WIN32
    static unsigned long __stdcall begin(void *place) {
#else
    static void *begin(void *place) {
#endif
        all.help((int64_t)place);
        return 0;
    }
};

Team Team::all;

#ifdef _WIN32
void Team::employ(int64_t helpers) {
    for (; n_helpers < helpers; n_helpers++) {
        void *const thread = CreateThread(nullptr, 0, begin, (void *)(n_helpers + 1), 0, nullptr);
        if (!thread) return;
        CloseHandle(thread);
    }
}
#else
void Team::employ(int64_t helpers) {
    static bool told = false;
    if (n_helpers >= helpers) return;
    if (!told) told = !pthread_atfork(nullptr, nullptr, [] { all.forget(); });
    // Signals are for the threads of the program.
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    for (; n_helpers < helpers; n_helpers++) {
        pthread_t thread;
        if (pthread_create(&thread, nullptr, begin, (void *)(n_helpers + 1))) break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
#endif

// Products of a chunk of a pass, of which a long one has several, and its samples, at least:
// SAMPLES times as many as there are chunks. An exponential counts as so many.
constexpr int64_t CHUNK = 1 << 17, SAMPLES = 128, MOST_CHUNKS = 16, EXPONENTIAL = 10;
// Features of components, and two for each, from which on threads share mixtures.
constexpr int64_t SHARED = 300;

// A power of two, which few threads share evenly.
inline int64_t n_chunks(const Model &m, int64_t n) {
    const int64_t products = n * m.M * m.K * (1 + m.d + n_quadratic(m) + EXPONENTIAL);
    int64_t chunks = 1;
    while (chunks < MOST_CHUNKS && products >= 2 * chunks * CHUNK &&
           n >= 4 * chunks * chunks * SAMPLES)
        chunks *= 2;
    return chunks;
}

// Triangular matrices of d rows of `stride` numbers, whole registers.
struct Triangles {
    using V = Vf8;
    static constexpr int64_t lanes = Simd<double>::lanes;
    const int64_t d, stride;

    explicit Triangles(int64_t n) : d(n), stride((n + lanes - 1) / lanes * lanes) {}

    int64_t size() const { return d * stride; }

    // (d, d) → rows, with zeros beyond d.
    void widen(const double *from, double *to) const {
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < stride; j++)
                to[i * stride + j] = j < d ? from[i * d + j] : 0;
    }

    void narrow(const double *from, double *to) const {
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < d; j++) to[i * d + j] = from[i * stride + j];
    }

    template <int N, class Use>
    INLINE void add_some(const double *w, int64_t by, const double *rows, int64_t stride,
                         int64_t n, int64_t c, Use use) {
        V sum[N] = {};
        for (int64_t l = 0; l < n; l++)
            UNROLL for (int i = 0; i < N; i++)
                sum[i] += w[l * by] * load(rows + l * stride + c + i * lanes);
        UNROLL for (int i = 0; i < N; i++) use(c + i * lanes, sum[i]);
    }

    // Σ_l w_l · rows[l], of the registers from `first` on: a few at a time, as each sum
    // waits for its last term.
    template <class Use>
    void add_up(const double *w, int64_t by, const double *rows, int64_t n, int64_t first,
                Use use) const {
        int64_t c = first;
        for (; c + 4 * lanes <= stride; c += 4 * lanes)
            add_some<4>(w, by, rows, stride, n, c, use);
        switch ((stride - c) / lanes) {
        case 1: return add_some<1>(w, by, rows, stride, n, c, use);
        case 2: return add_some<2>(w, by, rows, stride, n, c, use);
        case 3: return add_some<3>(w, by, rows, stride, n, c, use);
        }
    }

    // R with A = Rᵀ R, of the upper triangle of A; what is below is left undefined.
    // False, if A is not positive definite.
    bool factor(const double *a, double *r) const {
        for (int64_t j = 0; j < d; j++) {
            double *row = r + j * stride;
            const int64_t first = j / lanes * lanes;
            add_up(r + j, stride, r, j, first, [&](int64_t c, V sum) {
                store(row + c, load(a + j * stride + c) - sum);
            });
            if (!(row[j] > 0)) return false;
            const double root = __builtin_sqrt(row[j]), inverse = 1 / root;
            for (int64_t c = first; c < stride; c += lanes)
                store(row + c, load(row + c) * inverse);
            row[j] = root;
        }
        return true;
    }

    // R⁻¹ of an upper triangular matrix, with zeros below.
    void invert(const double *r, double *x) const {
        for (int64_t i = d - 1; i >= 0; i--) {
            double *row = x + i * stride;
            for (int64_t c = 0; c < stride; c += lanes) store(row + c, V{});
            row[i] = 1;
            const double inverse = 1 / r[i * stride + i];
            add_up(r + i * stride + i + 1, 1, row + stride, d - 1 - i, i / lanes * lanes,
                   [&](int64_t c, V sum) { store(row + c, (load(row + c) - sum) * inverse); });
        }
    }

    // A + w U Uᵀ. There must be room for another matrix.
    void add_square(const double *u, double weight, double *a, double *turned) const {
        for (int64_t l = 0; l < d; l++)
            for (int64_t j = 0; j < stride; j++)
                turned[l * stride + j] = j <= l ? u[j * stride + l] : 0;
        for (int64_t i = 0; i < d; i++) {
            double *row = a + i * stride;
            add_up(u + i * stride + i, 1, turned + i * stride, d - i, 0,
                   [&](int64_t c, V sum) { store(row + c, load(row + c) + weight * sum); });
        }
    }

    // Σ log x_ii. There must be room for a row.
    double log_det(const double *x, double *row) const {
        for (int64_t i = 0; i < stride; i++) row[i] = i < d ? x[i * stride + i] : 1;
        V sum{};
        for (int64_t c = 0; c < stride; c += lanes) {
            const V least = splat(TINY), some = load(row + c);
            sum += logarithm<double>(select<double>(some < least, least, some));
        }
        return total<double>(sum);
    }
};

// How narrow a scale may be: the least eigenvalue of its correlations, and variance; how
// many rows of it determine a covariance; and how often it is pooled.
struct Floor {
    double rows, least, vanishing;
    int64_t times;
};

// Samples that are not read from where users have them: columns of z, (d, n), in
// coordinates, and of what is added to their squares, or null.
struct Samples {
    int64_t n;
    const double *z, *squares;
    double *scratch;  // room for (d + 11)n + K
};

// Moves that leave a mixture: components go, and others are split. Distances are measured
// between columns of `seen`, `views` arrays (d, n), in turn. Of three random numbers for
// each move, in [0, 1), the first draws a row, the second the component that is split, and
// the third another row of that. A component keeps `certain` of each row.
struct Moves {
    int64_t views;
    const double *seen, *weight, *resp;  // resp (K, n)
    const int64_t *gone;
    const double *random;  // (3, M)
    double certain;
};

class Stepper {
    const Step &step;
    // The structure that covariances are kept as.
    const int64_t d, K;
    int64_t M;
    const int64_t structure, entries;
    const bool matrices, bayesian, heavy;
    Model model{};
    const Triangles triangles;
    const int64_t stride;
    // What is known of all mixtures, and of all samples.
    double *theta, *peak, *common_terms, *heights, *precisions, *spreads, *tails;
    double *pooled, *goal, *common_scatter;
    // What is worked in at one mixture.
    double *precision, *root, *inverse, *turned, *log_det, *diagonal, *linear, *before;
    bool labelled = false;
    double *at;
    Shapes shapes;
    double worst = 0;

  public:
    explicit Stepper(const Step &s)
        : step(s), d(s.d), K(s.K), M(s.M), structure(storage_of(s.structure)),
          entries(structure == DIAG ? s.d : structure == SPHERICAL ? 1 : s.d * s.d),
          matrices(structure == FULL || structure == TIED),
          bayesian(s.prior.weights != POINTS), heavy(s.freedom.kind != GAUSSIAN),
          triangles(s.d), stride(triangles.stride), at(aligned((double *)s.scratch)),
          shapes(s.structure, s.K, s.d, at) {
        model.itemsize = 8;
        model.kind = structure == FULL   ? PAIRS
                     : structure == DIAG ? SQUARES
                     : structure != TIED ? NORM
                     : heavy             ? PAIRS
                                         : NOTHING;
        // What components share cancels in responsibilities of Gaussian ones only.
        model.bounded = structure != TIED && !heavy;
        model.shared = structure == TIED && heavy;
        model.d = d;
        model.K = K;
        model.M = M;
        model.shift = s.shift;
        model.scale = s.scale;
        model.far = s.far;
        model.negligible = s.negligible;
        take_bench();
        theta = take(M * K * width());
        double **const of_matrices[] = {&pooled, &goal, &common_scatter};
        for (double **each : of_matrices) *each = take(matrices ? triangles.size() : d);
        peak = take(M);
        common_terms = take(M);
        heights = take(M * K);
        precisions = take(M * K * d);
        spreads = take(M);
        tails = take(heavy ? M * K * N_TAILS : 0);
        model.theta = theta;
        model.means = s.means;
        model.cholesky = s.cholesky;
        model.constants = heights;
        model.diagonals = precisions;
        model.tails = heavy ? tails : nullptr;
        own = (int64_t)((char *)at - s.scratch);
    }

    // Another bench for the same step.
    Stepper(const Stepper &main, char *memory) : Stepper(main) {
        at = aligned((double *)memory);
        shapes = Shapes(step.structure, K, d, at);
        take_bench();
    }

    int64_t own;  // bytes of scratch memory, beside those of the pass

    int64_t width() const { return 1 + d + n_quadratic(model); }

    int64_t bytes() {
        int64_t most = 0;
        for (int64_t itemsize = 4; itemsize <= 8; itemsize += 4)
            for (model.centred = 0; model.centred <= may_be_centred(); model.centred++) {
                model.itemsize = itemsize;
                const int64_t size = scratch_bytes(model);
                most = size > most ? size : most;
            }
        const int64_t chunks = n_chunks(model, step.job.n);
        const int64_t places = chunks < step.threads ? chunks : step.threads;
        const int64_t size = of_chunks(chunks) + (places > 1 ? places : 1) * (most + WIDTH);
        const int64_t benches = n_benches() * size_of_bench();
        return WIDTH + own + (size > benches ? size : benches);
    }

    // So many steps. False, if the caller must take another way.
    bool run(int64_t steps) {
        for (int64_t i = 0; i < steps; i++) {
            if (i) advance();
            if (!run()) return false;
        }
        return true;
    }

    // The first half of a step: the model of a pass, which the caller runs, and in the place
    // of the log-likelihoods what logits are less than log-densities. False, if the caller
    // must take another way.
    bool begin_pass(Model &out) {
        if (!prepared() || model.centred) return false;
        copy(step.job.loglik, peak, M);
        model.itemsize = worst <= step.single ? step.itemsize : 8;
        out = model;
        return true;
    }

    // The second half, with what the pass has found in place.
    bool finish() {
        for (int64_t m = 0; m < M; m++) step.job.loglik[m] += step.total_weight * peak[m];
        return each([](Stepper &bench, int64_t m) { return bench.maximise(m); });
    }

    // The scale of clusters → the target: that of the narrowest of some labellings, with
    // responsibilities (views, K, n), after steps until it settles. Return how many there
    // were; 0, if the caller must do all of it.
    int64_t cluster(const Samples &s, const double *resp, int64_t views, int64_t steps,
                    double little, const Floor &floor) {
        int64_t best = 0;
        double least = 0, volume = 0;
        for (int64_t v = 0; v < views; v++) {
            sum_labels(s, resp + v * K * s.n);
            if (!within(floor, volume)) return 0;
            if (v && !(volume < least)) continue;
            least = volume;
            best = v;
        }
        if (best < views - 1) {
            sum_labels(s, resp + best * K * s.n);
            if (!within(floor, volume)) return 0;
        }
        if (!pool_often(floor, volume) || !begin()) return 0;
        const int64_t taken = settle(steps, volume, little, floor);
        return taken && within(floor, volume) && pool_often(floor, volume) ? taken : 0;
    }

    // Take up to `count` more steps, as long as one of the mixtures gains more than `least`
    // in one. Of each step the log-likelihoods and the objectives, (2, M), are written to
    // `values`. Return how many were taken, −1 if the caller must take another way.
    int64_t climb(int64_t count, double least, double *values) {
        for (int64_t i = 0;; i++) {
            if (!run()) return -1;
            double most = 0;
            double *const objectives = values + (2 * i + 1) * M;
            for (int64_t m = 0; m < M; m++) {
                objectives[m - M] = step.job.loglik[m];
                objectives[m] = step.job.loglik[m] - step.penalty[m];
                if (i) most = larger(most, objectives[m] - objectives[m - 2 * M]);
            }
            if (i == count || (i > 0 && !(most > least))) return i;
            advance();
        }
    }

    // Take so many steps from all mixtures. After a quarter of them, unless that is one, and
    // half-way, the worse half is given up, and those that would not exceed `least` by as
    // many steps more as are left, and `hope` times all of them, of the last one's gain.
    // Return how many are left, first in place, with their objectives and last gains; −1 if
    // the caller must take another way.
    int64_t contest(int64_t steps, double hope, double alike, double least, double *objectives,
                    double *gains) {
        int64_t done = 0;
        const int64_t stages[] = {steps / 4, steps / 2, steps};
        for (int64_t stage : stages) {
            if (stage <= 1 && stage < steps) continue;
            for (int64_t i = done; i <= stage; i++) {
                if (i > done) advance();
                if (!run()) return -1;
                for (int64_t m = 0; m < M; m++) {
                    const double objective = step.job.loglik[m] - step.penalty[m];
                    gains[m] = i > done ? objective - objectives[m] : 0;
                    objectives[m] = objective;
                }
            }
            if (stage == steps) break;
            const double ahead = (double)(steps - stage) + hope * (double)steps;
            keep_better(ahead, least, alike, objectives, gains);
            if (M == 0) return 0;
            done = stage + 1;
        }
        return M;
    }

    // Posterior probabilities of all samples, (K, n). False, if the caller must find them.
    bool responsibilities(double *resp) {
        if (!prepared()) return false;
        Job job = step.job;
        job.scratch = step.scratch + own;
        job.sums = job.loglik = nullptr;
        job.resp = (char *)resp;
        job.resp_component_stride = 8 * job.n;
        job.resp_sample_stride = 8;
        model.itemsize = 8;
        return !Pass<double>(model, job).run();
    }

    // Moments of samples labelled by the mixture, as `Sketch` in Python has them: counts
    // (K,), means (K, d), covariances (K, d, d) and overlaps (K, K), in `out`.
    // Responsibilities up to `no_account` are left out. False, if the caller must find them.
    bool sketch(const Samples &s, const double *weight, double no_account, double *resp,
                double *out) {
        if (!responsibilities(resp)) return false;
        const int64_t n = s.n;
        double *means = out + K, *covariances = means + K * d, *overlaps = covariances + K * d * d;
        double *away = s.scratch, *weighted = away + d * n, *all = weighted + n, *kept = all + n;
        for (int64_t i = 0; i < K * n; i++) resp[i] = resp[i] > no_account ? resp[i] : 0;
        for (int64_t k = 0; k < K; k++) {
            for (int64_t i = 0; i < n; i++) all[i] = resp[k * n + i] * weight[i];
            for (int64_t j = 0; j <= k; j++)
                overlaps[j * K + k] = overlaps[k * K + j] = dot(all, resp + j * n, n);
            // Most samples are none of a component's.
            int64_t m = 0;
            int32_t *at = (int32_t *)(kept + n);
            for (int64_t i = 0; i < n; i++) {
                at[m] = (int32_t)i;
                kept[m] = all[i];
                m += all[i] > 0;
            }
            double count = 0;
            for (int64_t i = 0; i < m; i++) count += kept[i];
            out[k] = larger(count, TINY);
            for (int64_t j = 0; j < d; j++) {
                double *row = away + j * m, &mean = means[k * d + j];
                for (int64_t i = 0; i < m; i++) row[i] = s.z[j * n + at[i]];
                mean = m ? dot(kept, row, m) / count : 0;
                for (int64_t i = 0; i < m; i++) row[i] -= mean;
            }
            double *covariance = covariances + k * d * d;
            for (int64_t j = 0; j < d; j++) {
                for (int64_t i = 0; i < m; i++) weighted[i] = kept[i] * away[j * m + i];
                double *pairs = covariance + j * d;
                for (int64_t c = j; c < d; c++) pairs[c] = 0;
                add_products(weighted, away, m, j, pairs);
                if (s.squares) pairs[j] += dot(all, s.squares + j * n, n);
                for (int64_t c = j; c < d; c++) covariance[c * d + j] = pairs[c] /= out[k];
            }
        }
        return true;
    }

    // The M-step of samples with weighted responsibilities (M, K, n), for structures of no
    // shape. An empty component is at zero. False, if a covariance is not positive definite.
    bool label(const Samples &s, const double *resp) {
        if (matrices) triangles.widen(step.target, goal);
        for (int64_t m = 0; m < M; m++) {
            double *weights = step.next_weights + m * K, all = 0;
            clear();
            for (int64_t k = 0; k < K; k++) {
                const int64_t i = m * K + k;
                all += weights[k] = add_scatter(s, resp + i * s.n, step.next_means + i * d);
                if (heavy) begin_freedom(i, weights[k]);
                if (structure == TIED) continue;
                if (!factor_scatter(weights[k], step.next_cholesky + i * entries)) return false;
                clear();
            }
            if (heavy) revise_freedom(m);
            for (int64_t k = 0; k < K; k++) weights[k] = all > 0 ? weights[k] / all : 0;
            if (structure == TIED && !factor_scatter(all, step.next_cholesky + m * entries))
                return false;
        }
        return true;
    }

    // Leave the first mixture in M ways. A covariance that all share stays as it is. False,
    // if one is not positive definite.
    bool move(const Samples &s, const Moves &moves) {
        const int64_t n = s.n;
        double *cumulated = s.scratch + (d + 1) * n, *share = cumulated + n, *half = share + n,
               *near = half + n, *owners = near + n;
        if (matrices) triangles.widen(step.target, goal);
        double all = 0;
        for (int64_t i = 0; i < n; i++) all += moves.weight[i];
        for (int64_t m = 0; m < M; m++) {
            const int64_t gone = moves.gone[m];
            const double *random = moves.random + m;
            const double sum = cumulate(moves.weight, n, cumulated);
            const int64_t here = place(cumulated, n, random[0] * sum);
            for (int64_t k = 0; k < K; k++)
                owners[k] = k == gone ? 0 : moves.resp[k * n + here] + moves.certain;
            const double of_owners = cumulate(owners, K, owners);
            const int64_t owner = place(owners, K, random[M] * of_owners);
            // What the owner would have, were the other one not there.
            const double *its = moves.resp + owner * n, *other = moves.resp + gone * n;
            for (int64_t i = 0; i < n; i++)
                share[i] = (its[i] + moves.certain) /
                           (1 - other[i] + (double)K * moves.certain) * moves.weight[i];
            const double of_all = cumulate(share, n, cumulated);
            const int64_t there = place(cumulated, n, random[2 * M] * of_all);
            const double *seen = moves.seen + m % moves.views * d * n;
            distances(seen, d, n, here, near);
            distances(seen, d, n, there, cumulated);
            for (int64_t i = 0; i < n; i++) {
                half[i] = near[i] < cumulated[i] ? share[i] : 0;
                share[i] -= half[i];
            }
            copy_present(m);
            double *weights = step.next_weights + m * K, left = 0;
            const int64_t pair[] = {gone, owner};
            for (int64_t i = 1; i >= 0; i--) {
                const int64_t k = pair[i], at = m * K + k;
                clear();
                const double count = add_scatter(s, i ? share : half, step.next_means + at * d);
                weights[k] = count / all;
                if (heavy) {
                    const double start = step.freedom.start[i];
                    step.freedom.next_df[at] =
                        step.freedom.kind == FIXED ? start : admitted(start);
                }
                if (structure == TIED) continue;
                if (!factor_scatter(count, step.next_cholesky + at * entries)) return false;
            }
            for (int64_t k = 0; k < K; k++) left += weights[k];
            for (int64_t k = 0; k < K; k++) weights[k] /= left;
        }
        return true;
    }

  private:
    double *take(int64_t n) {
        double *here = at;
        at += (n + Triangles::lanes - 1) / Triangles::lanes * Triangles::lanes;
        return here;
    }

    void take_bench() {
        at = aligned(at);
        double **const of_matrices[] = {&precision, &root, &inverse, &turned};
        for (double **each : of_matrices) *each = take(matrices ? triangles.size() : d);
        log_det = take(K);
        diagonal = take(d);
        linear = take(d);
        before = take(shapes.wants_covariances() ? K * d * d : 0);
    }

    static double *aligned(double *at) {
        return (double *)(((uintptr_t)at + WIDTH - 1) / WIDTH * WIDTH);
    }

    static void copy(double *to, const double *from, int64_t n) {
        __builtin_memmove(to, from, n * sizeof *to);
    }

    // Steps of one mixture whose target becomes the scale of its components, each time,
    // until the logarithm of its volume changes by little. Return how many there were;
    // 0, if the caller must do them.
    int64_t settle(int64_t steps, double volume, double little, const Floor &floor) {
        for (int64_t i = 0; i < steps; i++) {
            if (i) advance();
            const double before = volume;
            if (!run() || !(matrices ? pool(floor, volume) : pool_variances(floor, volume)))
                return 0;
            if (__builtin_fabs(volume - before) <= little) return i + 1;
        }
        return steps;
    }

    // Sums of one labelling, about the means, which are the present ones then.
    void sum_labels(const Samples &s, const double *resp) {
        const int64_t p = width();
        for (int64_t i = 0; i < triangles.size() && structure == TIED; i++) common_scatter[i] = 0;
        for (int64_t k = 0; k < K; k++) {
            double *sum = step.job.sums + k * p, *q = sum + 1 + d;
            clear();
            sum[0] = add_scatter(s, resp + k * s.n, step.means + k * d);
            for (int64_t i = 0; i < d; i++) sum[1 + i] = 0;
            for (int64_t i = 0; structure == FULL && i < d; i++)
                for (int64_t j = i; j < d; j++) *q++ = precision[i * stride + j];
            for (int64_t i = 0; !matrices && i < entries; i++) q[i] = diagonal[i];
            for (int64_t i = 0; i < triangles.size() && structure == TIED; i++)
                common_scatter[i] += precision[i];
        }
        labelled = true;
    }

    // The pooled covariance of components → the target, and its log-volume. False, if it
    // may be too narrow in some direction.
    bool within(const Floor &floor, double &volume) {
        const int64_t p = width();
        const double all = weight_of_all();
        for (int64_t i = 0; matrices && i < triangles.size(); i++) pooled[i] = 0;
        for (int64_t i = 0; i < d; i++) diagonal[i] = 0;
        if (structure == TIED)
            labelled ? copy(pooled, common_scatter, triangles.size())
                     : triangles.widen(step.second, pooled);
        for (int64_t k = 0; k < K; k++) {
            const double *sum = step.job.sums + k * p, *first = sum + 1, *q = first + d;
            const double share = sum[0] > 0 ? 1 / sum[0] : 0;
            for (int64_t i = 0; i < d; i++) {
                const double square = share * first[i] * first[i];
                if (structure == DIAG) diagonal[i] += q[i] - square;
                if (structure == SPHERICAL) diagonal[0] += (i ? 0 : q[0]) - square;
                for (int64_t j = i; matrices && j < d; j++)
                    pooled[i * stride + j] +=
                        (structure == FULL ? *q++ : 0) - share * first[i] * first[j];
            }
        }
        volume = 0;
        if (!matrices) {
            for (int64_t i = 0; i < entries; i++) {
                step.target[i] = diagonal[i] / all;
                if (!(step.target[i] > floor.vanishing)) return false;
                volume += log_of(step.target[i]);
            }
            return true;
        }
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = i; j < d; j++)
                step.target[i * d + j] = step.target[j * d + i] = pooled[i * stride + j] / all;
        triangles.widen(step.target, pooled);
        if (!triangles.factor(pooled, root)) return false;
        triangles.invert(root, inverse);
        volume = -2 * triangles.log_det(inverse, linear);
        double trace = 0;
        for (int64_t i = 0; i < d; i++) {
            const double variance = pooled[i * stride + i];
            if (!(variance > floor.vanishing)) return false;
            trace += variance * dot(inverse + i * stride + i, inverse + i * stride + i, d - i);
        }
        return trace * floor.least <= 1;
    }

    // Pool the target from itself, several times. What components share is it already.
    bool pool_often(const Floor &floor, double &volume) {
        for (int64_t i = 0; structure != TIED && i < floor.times; i++) {
            if (matrices) triangles.widen(step.target, goal);
            if (!(matrices ? pool(floor, volume) : pool_variances(floor, volume))) return false;
        }
        return true;
    }

    // The M-step of labels.
    bool begin() {
        const int64_t p = width();
        const double all = weight_of_all();
        if (matrices) triangles.widen(step.target, goal);
        for (int64_t k = 0; k < K; k++) {
            const double *sum = step.job.sums + k * p, *q = sum + 1 + d;
            step.weights[k] = sum[0] / all;
            if (structure == TIED) continue;
            clear();
            for (int64_t i = 0; structure == FULL && i < d; i++)
                for (int64_t j = i; j < d; j++) precision[i * stride + j] = *q++;
            for (int64_t i = 0; !matrices && i < entries; i++) diagonal[i] = q[i];
            if (!factor_scatter(sum[0], step.cholesky + k * entries)) return false;
        }
        if (structure == TIED) copy(precision, common_scatter, triangles.size());
        labelled = false;
        return structure != TIED || factor_scatter(all, step.cholesky);
    }

    // The first mixture → the next parameters of mixture m.
    void copy_present(int64_t m) {
        const int64_t size = (structure == TIED ? 1 : K) * entries;
        copy(step.next_weights + m * K, step.weights, K);
        copy(step.next_means + m * K * d, step.means, K * d);
        copy(step.next_cholesky + m * size, step.cholesky, size);
        if (heavy) copy(step.freedom.next_df + m * K, step.freedom.df, K);
    }

    // Give up the worse half, and what has no hope; the next parameters of the others become
    // the present ones, the best first. Those that are as good but for a share `alike` of
    // the best stay in order.
    void keep_better(double ahead, double least, double alike, double *objectives,
                     const double *gains) {
        const int64_t size = (structure == TIED ? 1 : K) * entries, count = (M + 1) / 2;
        int64_t kept = 0;
        for (int64_t i = 0; i < count;) {
            double best = -__builtin_inf();
            for (int64_t m = 0; m < M; m++) best = larger(objectives[m], best);
            if (!(best > -__builtin_inf())) break;
            const double near = best - alike * __builtin_fabs(best);
            for (int64_t m = 0; m < M && i < count; m++) {
                if (!(objectives[m] >= near)) continue;
                const bool hopeful = objectives[m] + ahead * gains[m] > least;
                objectives[m] = -__builtin_inf();
                i++;
                if (!hopeful) continue;
                copy(step.weights + kept * K, step.next_weights + m * K, K);
                copy(step.means + kept * K * d, step.next_means + m * K * d, K * d);
                copy(step.cholesky + kept * size, step.next_cholesky + m * size, size);
                if (heavy) copy(step.freedom.df + kept * K, step.freedom.next_df + m * K, K);
                kept++;
            }
        }
        M = model.M = kept;
    }

    void clear() {
        for (int64_t i = 0; matrices && i < triangles.size(); i++) precision[i] = 0;
        for (int64_t i = 0; i < d; i++) diagonal[i] = 0;
    }

    // Weights of the samples of a label, of which those that are far from the others count
    // for less. Distances are from medians, in median absolute deviations: see
    // `robust_distances` in Python.
    const double *lessened(const Samples &s, const double *r) const {
        constexpr double NO_ACCOUNT = 1e-6, DEVIATION = 1.4826;
        constexpr int64_t MEDIAN_ROWS = 500;
        const int64_t n = s.n;
        double *found = s.scratch + (d + 5) * n + K, *values = found + n, *weights = values + n,
               *spare = weights + n;
        int32_t *own = (int32_t *)(spare + 2 * n);
        double most = 0;
        for (int64_t i = 0; i < n; i++) most = larger(most, r[i]);
        int64_t m = 0;
        for (int64_t i = 0; i < n; i++) {
            own[m] = (int32_t)i;
            m += r[i] > NO_ACCOUNT * most;
            found[i] = 0;
        }
        const int64_t apart = m / MEDIAN_ROWS > 1 ? m / MEDIAN_ROWS : 1;
        m = (m + apart - 1) / apart;
        for (int64_t i = 0; i < m; i++) own[i] = own[i * apart];
        for (int64_t j = 0; m && j < d; j++) {
            const double *row = s.z + j * n;
            double centres[2] = {}, within = 0;
            for (double &centre : centres) {
                const bool deviations = &centre != centres;
                for (int64_t i = 0; i < m; i++) {
                    const double value = row[own[i]];
                    values[i] = deviations ? __builtin_fabs(value - centres[0]) : value;
                    weights[i] = r[own[i]];
                }
                centre = median(values, weights, m, spare, spare + n);
            }
            for (int64_t i = 0; s.squares && i < n; i++) within += s.squares[j * n + i];
            const double spread = DEVIATION * centres[1];
            const double variance = spread * spread + within / (double)n;
            const double unit = variance > 0 ? 1 / variance : 1;
            for (int64_t i = 0; i < n; i++) {
                const double away = row[i] - centres[0];
                found[i] += away * away * unit;
            }
        }
        const double df = step.freedom.labelled, top = df + step.freedom.dimensions;
        for (int64_t i = 0; i < n; i++)
            found[i] = found[i] <= step.freedom.reach ? r[i] * top / (df + found[i]) : 0;
        return found;
    }

    // Add the scatter of samples of weights r; return their sum, and their mean.
    double add_scatter(const Samples &s, const double *r, double *mean) {
        const int64_t n = s.n;
        double *away = s.scratch, *weighted = away + d * n, count = 0, all = 0;
        for (int64_t i = 0; i < n; i++) all += r[i];
        if (heavy) r = lessened(s, r);
        for (int64_t i = 0; i < n; i++) count += r[i];
        for (int64_t j = 0; j < d; j++) {
            const double *row = s.z + j * n;
            mean[j] = count > 0 ? dot(r, row, n) / count : 0;
            for (int64_t i = 0; i < n; i++) away[j * n + i] = row[i] - mean[j];
        }
        for (int64_t j = 0; j < d; j++) {
            const double *row = away + j * n;
            for (int64_t i = 0; i < n; i++) weighted[i] = r[i] * row[i];
            double own = s.squares ? dot(r, s.squares + j * n, n) : 0;
            if (!matrices) {
                diagonal[structure == DIAG ? j : 0] += own + dot(weighted, row, n);
                continue;
            }
            double *out = precision + j * stride;
            out[j] += own;
            add_products(weighted, away, n, j, out);
        }
        return all;
    }

    // Add the products of a row of n numbers and rows j … d − 1.
    void add_products(const double *row, const double *rows, int64_t n, int64_t j,
                      double *out) const {
        int64_t c = j;
        for (double four[4]; c + 4 <= d; c += 4) {
            dots<4>(row, rows + c * n, n, n, four);
            for (int64_t l = 0; l < 4; l++) out[c + l] += four[l];
        }
        for (; c < d; c++) out[c] += dot(row, rows + c * n, n);
    }

    // The factor of a scatter of so many rows. False, if it is not positive definite.
    bool factor_scatter(double count, double *u) {
        count += step.epsilon;
        for (int64_t i = 0; matrices && i < triangles.size(); i++)
            precision[i] = (precision[i] + step.epsilon * goal[i]) / count;
        if (matrices) {
            complete(precision);
            return whitening(u);
        }
        for (int64_t i = 0; i < entries; i++)
            if (!take_root(diagonal[i] + step.epsilon * step.target[i], count, i, u)) return false;
        return true;
    }

    double ridge(int64_t i) const { return step.ridge ? step.ridge[i] : 0; }

    double constant(int64_t i) const { return step.constant ? step.constant[i] : 0; }

    // Values in so many rows that a variance stands for.
    double values(double rows) const { return structure == SPHERICAL ? (double)d * rows : rows; }

    // The root of a precision, of the squares in so many rows. False, if they are not
    // positive.
    bool take_root(double squares, double rows, int64_t i, double *u) const {
        const double variance = squares / values(rows) + ridge(i);
        if (!(variance > 0)) return false;
        u[i] = 1 / __builtin_sqrt(constant(i) > 0 ? constant(i) : variance);
        return true;
    }

    // Add what is the same for all components to the upper triangle of a covariance.
    void complete(double *covariance) const {
        for (int64_t i = 0; step.ridge && i < d; i++) covariance[i * stride + i] += ridge(i);
        for (int64_t i = 0; step.constant && i < d; i++) {
            if (!(constant(i) > 0)) continue;
            for (int64_t j = 0; j < d; j++)
                covariance[i < j ? i * stride + j : j * stride + i] = 0;
            covariance[i * stride + i] = constant(i);
        }
    }

    // Prepare all mixtures for a pass.
    bool prepared() {
        if (matrices) triangles.widen(step.target, goal);
        if (!each([](Stepper &bench, int64_t m) { return bench.prepare(m); })) return false;
        worst = 0;
        for (int64_t m = 0; m < M; m++)
            if (!(spreads[m] <= worst)) worst = spreads[m];
        model.centred = !(worst <= step.condition);
        return !model.centred || (may_be_centred() && __builtin_isfinite(worst));
    }

    // Whether there is another form where the expanded one has too few digits.
    bool may_be_centred() const { return structure != TIED && !bayesian; }

    bool run() {
        if (!prepared()) return false;
        model.itemsize = worst <= step.single ? step.itemsize : 8;
        for (int64_t m = 0; m < M; m++) step.about_means[m] = model.centred;
        return !pass() && finish();
    }

    // Threads that share what comes before and after a pass: of several mixtures, unless
    // that is little.
    int64_t n_benches() const {
        const int64_t most = M < step.threads ? M : step.threads;
        return M * K * (d + 2) < SHARED ? 1 : most;
    }

    int64_t size_of_bench() const {
        Stepper bench(*this, nullptr);
        return ::aligned((int64_t)(uintptr_t)bench.at) + WIDTH;
    }

    // Call f(bench, m) for each mixture, and tell whether all could be done.
    template <class F> bool each(F f) {
        const int64_t benches = n_benches();
        if (benches == 1) {
            for (int64_t m = 0; m < M; m++)
                if (!f(*this, m)) return false;
            return true;
        }
        int32_t failed = 0;
        const int64_t size = size_of_bench();
        Team::all.share(M, benches, [&](int64_t m, int64_t place) {
            Stepper bench(*this, step.scratch + own + place * size);
            if (!f(bench, m)) __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
        });
        return !failed;
    }

    // Numbers that a pass finds: sums, log-likelihoods, and what t components own.
    int64_t n_sums() const { return M * K * width(); }
    int64_t n_owned() const { return heavy ? 3 * M * K : 0; }

    // Bytes of what several chunks of a pass find.
    int64_t of_chunks(int64_t chunks) const {
        const int64_t found = n_sums() + M + n_owned();
        return chunks > 1 ? chunks * found * (int64_t)sizeof(double) : 0;
    }

    // The pass. What threads find in chunks of it is added up in the order of these. Return
    // how many samples are left to the caller.
    int64_t pass() {
        const int64_t n = step.job.n, chunks = n_chunks(model, n);
        const int64_t size = n_sums(), all = size + M + n_owned();
        double *found = aligned((double *)(step.scratch + own));
        char *const rooms = (char *)found + of_chunks(chunks);
        const int64_t room = scratch_bytes(model);
        const auto begin = [=](int64_t i) {
            return i == chunks ? n : n * i / chunks / LARGEST * LARGEST;
        };
        int64_t lost = 0;
        Team::all.share(chunks, step.threads, [&](int64_t i, int64_t place) {
            Job job = step.job;
            const int64_t first = begin(i);
            job.n = begin(i + 1) - first;
            job.x += first * job.sample_stride;
            if (job.weight) job.weight += first * job.weight_stride;
            if (job.squares) job.squares += first * job.squares_sample_stride;
            job.lost += M * first;
            job.scratch = rooms + place * room;
            if (chunks > 1) {
                job.sums = found + i * all;
                job.loglik = job.sums + size;
                job.owned = job.loglik + M;
            }
            const int64_t left = model.itemsize == 8 ? Pass<double>(model, job).run()
                                                     : Pass<float>(model, job).run();
            __atomic_add_fetch(&lost, left, __ATOMIC_RELAXED);
        });
        for (int64_t i = 0; chunks > 1 && i < chunks; i++, found += all) {
            add_up(found, step.job.sums, size, i);
            add_up(found + size, step.job.loglik, M, i);
            add_up(found + size + M, step.job.owned, n_owned(), i);
        }
        return lost;
    }

    // Sums of another chunk, the first one of which begins them.
    static void add_up(const double *found, double *sums, int64_t n, int64_t chunk) {
        for (int64_t i = 0; i < n; i++) sums[i] = chunk ? sums[i] + found[i] : found[i];
    }

    // Take the next parameters for the present ones.
    void advance() {
        copy(step.weights, step.next_weights, M * K);
        copy(step.means, step.next_means, M * K * d);
        copy(step.cholesky, step.next_cholesky, (structure == TIED ? M : M * K) * entries);
        if (heavy) copy(step.freedom.df, step.freedom.next_df, M * K);
        if (!bayesian) return;
        copy(step.prior.effective, step.prior.next_effective, M * K);
        copy(step.prior.counts, step.prior.next_counts, M * K);
    }

    double weight_of_all() const {
        double sum = 0;
        for (int64_t k = 0; k < K; k++) sum += step.job.sums[k * width()];
        return sum;
    }

    // Λ of the statistics, Λ⁻¹ = Σ w_k Σ_k⁻¹, where each Σ_k has a few rows of the target
    // on top, and its log-volume. False, if it may be too narrow in some direction.
    bool pool(const Floor &floor, double &volume) {
        const int64_t p = width();
        const double all = weight_of_all();
        double *a = precision;
        for (int64_t i = 0; i < triangles.size(); i++) pooled[i] = 0;
        if (structure == TIED) triangles.widen(step.second, pooled);
        for (int64_t i = 0; i < d; i++) diagonal[i] = 0;
        for (int64_t k = 0; k < K; k++) {
            const double *sum = step.job.sums + k * p, *first = sum + 1, *q = first + d;
            const double n = sum[0], share = n > 0 ? 1 / n : 0;
            for (int64_t i = 0; i < d; i++) {
                double *row = (structure == TIED ? pooled : a) + i * stride;
                if (structure == TIED) {
                    for (int64_t j = 0; j < d; j++) row[j] -= share * first[i] * first[j];
                    continue;
                }
                for (int64_t j = i; j < d; j++) row[j] = *q++ - share * first[i] * first[j];
                diagonal[i] += row[i];
                for (int64_t j = i; j < d; j++)
                    row[j] = (row[j] + floor.rows * goal[i * stride + j]) / (n + floor.rows);
            }
            if (structure == TIED) continue;
            if (!triangles.factor(a, root)) return false;
            triangles.invert(root, inverse);
            triangles.add_square(inverse, n / all, pooled, turned);
        }
        for (int64_t i = 0; i < d; i++) {
            const double variance = structure == TIED ? pooled[i * stride + i] : diagonal[i];
            if (!(variance > floor.vanishing * all)) return false;
        }
        for (int64_t i = 0; structure == TIED && i < triangles.size(); i++) pooled[i] /= all;
        if (!triangles.factor(pooled, root)) return false;
        triangles.invert(root, inverse);
        for (int64_t i = 0; i < triangles.size(); i++) a[i] = 0;
        triangles.add_square(inverse, 1, a, turned);
        volume = 2 * triangles.log_det(inverse, linear);
        if (structure == TIED) volume = -volume;
        // The trace of the inverse of the correlations is at least that of their smallest
        // eigenvalue.
        double trace = 0;
        for (int64_t i = 0; i < d; i++) trace += a[i * stride + i] * pooled[i * stride + i];
        triangles.narrow(structure == TIED ? pooled : a, step.target);
        return trace * floor.least <= 1;
    }

    bool pool_variances(const Floor &floor, double &volume) {
        const int64_t p = width();
        const double all = weight_of_all();
        volume = 0;
        for (int64_t i = 0; i < entries; i++) {
            double within = 0, inverses = 0;
            for (int64_t k = 0; k < K; k++) {
                const double *sum = step.job.sums + k * p, n = sum[0];
                double square = sum[1 + i] * sum[1 + i];
                for (int64_t j = 1; structure == SPHERICAL && j < d; j++)
                    square += sum[1 + j] * sum[1 + j];
                const double own = sum[1 + d + i] - (n > 0 ? square / n : 0);
                within += own;
                inverses += n / all * (n + floor.rows) / (own + floor.rows * step.target[i]);
            }
            step.target[i] = 1 / inverses;
            if (!(within > floor.vanishing * all && step.target[i] > floor.vanishing))
                return false;
            volume += log_of(step.target[i]);
        }
        return true;
    }

    const double *factor(int64_t m, int64_t k) const {
        return step.cholesky + (structure == TIED ? m : m * K + k) * entries;
    }

    // P = U Uᵀ, the diagonal of Σ, and log|U|, of matrices.
    double decompose(const double *u) {
        triangles.widen(u, root);
        triangles.invert(root, inverse);
        for (int64_t c = 0; c < stride; c += Triangles::lanes) {
            Vf8 sum{};
            for (int64_t j = 0; j < d; j++) {
                const Vf8 row = load(inverse + j * stride + c);
                sum += row * row;
            }
            store(diagonal + c, sum);
        }
        for (int64_t i = 0; i < triangles.size(); i++) precision[i] = 0;
        triangles.add_square(root, 1, precision, turned);
        return triangles.log_det(root, linear);
    }

    // Σ a_ij b_ij
    double product(const double *a, const double *b) const {
        Vf8 sum{};
        for (int64_t i = 0; i < triangles.size(); i += Triangles::lanes)
            sum += load(a + i) * load(b + i);
        return ::total<double>(sum);
    }

    // P μ → linear
    void multiply(const double *mean) {
        triangles.add_up(mean, 1, precision, d, 0,
                         [&](int64_t c, Vf8 sum) { store(linear + c, sum); });
    }

    // Natural parameters, peaks, condition, and what the penalty and, of tied
    // covariances, the log-likelihood have of these parameters.
    bool prepare(int64_t m) {
        const int64_t p = width();
        double trace = 0, logs = 0, common = 0, top = 0, pull = 0, most = 0;
        for (int64_t k = 0; k < K; k++) {
            const double *u = factor(m, k), *mean = step.means + (m * K + k) * d;
            double *row = theta + (m * K + k) * p, *q = row + 1 + d;
            double constant = 0, spread = 0;
            if (matrices) {
                if (structure == FULL || k == 0) {
                    log_det[k] = decompose(u);
                    logs += log_det[k];
                    trace += product(precision, goal);
                    if (structure == TIED && !heavy) {
                        triangles.widen(step.second, turned);
                        common += product(precision, turned);
                    }
                }
                log_det[k] = log_det[structure == TIED ? 0 : k];
                multiply(mean);
                for (int64_t i = 0; i < d; i++) {
                    row[1 + i] = linear[i];
                    constant += linear[i] * mean[i];
                    spread += precision[i * stride + i] * (mean[i] * mean[i] + diagonal[i]);
                }
                if (structure == FULL || heavy)
                    for (int64_t i = 0; i < d; i++)
                        for (int64_t j = i; j < d; j++)
                            *q++ = precision[i * stride + j] * (i == j ? -0.5 : -1.0);
            } else {
                log_det[k] = 0;
                for (int64_t i = 0; i < d; i++) {
                    const double own = squared(u, i);
                    if (structure == DIAG || i == 0) {
                        log_det[k] += log_of(u[i]) * (structure == DIAG ? 1 : d);
                        trace += (structure == DIAG ? step.target[i] : step.target[0]) * own;
                        q[i] = -0.5 * own;
                    }
                    row[1 + i] = own * mean[i];
                    constant += own * mean[i] * mean[i];
                    spread += own * mean[i] * mean[i] + 1;
                }
                logs += log_det[k];
            }
            if (bayesian) pull += from_prior(matrices ? nullptr : u, mean);
            const double weight = bayesian ? step.prior.effective[m * K + k]
                                           : log_of(step.weights[m * K + k]);
            const double height = weight + log_det[k] - (double)d * HALF_LOG_2PI;
            row[0] = height - 0.5 * constant;
            top = k == 0 || height > top ? height : top;
            if (!(spread <= most)) most = spread;
            heights[m * K + k] = height;
            for (int64_t i = 0; step.job.widened() && i < d; i++)
                precisions[(m * K + k) * d + i] = matrices ? precision[i * stride + i] : squared(u, i);
        }
        spreads[m] = most;
        peak[m] = top;
        for (int64_t k = 0; k < K; k++) {
            theta[(m * K + k) * p] -= top;
            heights[m * K + k] -= top;
            if (heavy) describe_tails(m * K + k);
        }
        step.penalty[m] = bayesian     ? divergence(m, trace, pull)
                          : step.ridge ? 0
                                       : step.epsilon * (0.5 * trace - logs);
        common_terms[m] = -0.5 * common;
        return __builtin_isfinite(step.penalty[m]);
    }

    // What the pass has to know of a t component.
    void describe_tails(int64_t i) {
        const double df = step.freedom.df[i], normal = step.freedom.normal;
        const bool bell = !(df < normal);
        const double nu = bell ? normal : df, rows = 0.5 * step.freedom.dimensions;
        double *of = tails + i * N_TAILS;
        of[C] = heights[i];
        of[NU] = nu;
        of[E] = 0.5 * nu + rows;
        // log Γ((ν + d)/2) − log Γ(ν/2) − (d/2) log(ν/2)
        of[PEAK] = heights[i] + (bell ? 0 : log_rising(0.5 * nu, rows) - rows * log_of(0.5 * nu));
        of[REACH] = step.freedom.reach;
        of[SHAPE] = (double)(bell ? BELL : HEAVY);
    }

    // Rows that a component has.
    double size_of(int64_t i) const {
        return heavy ? step.job.owned[3 * i] : step.job.sums[i * width()];
    }

    // Σ r E(log τ − τ) → its place, of what the pass has found.
    void complete_owned(int64_t m) {
        for (int64_t i = m * K; i < (m + 1) * K; i++) {
            const double *of = tails + i * N_TAILS;
            double *own = step.job.owned + 3 * i;
            own[1] = (digamma(of[E]) - log_of(0.5 * of[NU])) * own[0] - own[1];
        }
    }

    // What labelled samples have there, for which degrees of freedom are where they start.
    void begin_freedom(int64_t i, double count) {
        const double start = step.freedom.start[i % K], most = step.freedom.most;
        const double half = 0.5 * (start < most ? start : most);
        step.job.owned[3 * i] = count;
        step.job.owned[3 * i + 1] = count * (-log_less_digamma(half) - 1);
        step.job.owned[3 * i + 2] = 0;
    }

    // The next degrees of freedom.
    void revise_freedom(int64_t m) {
        const Freedom &freedom = step.freedom;
        double *owned = step.job.owned + 3 * m * K, *df = freedom.next_df + m * K;
        double rows = 0, sum = 0;
        for (int64_t k = 0; k < K; k++) {
            const double *own = owned + 3 * k;
            rows += own[0];
            sum += own[1];
            df[k] = freedom.kind == FIXED  ? freedom.start[k]
                    : freedom.kind == EACH ? likeliest(own[0], own[1], freedom.start[k])
                                           : 0;
        }
        for (int64_t k = 0; freedom.kind == COMMON && k < K; k++)
            df[k] = k ? df[0] : likeliest(rows, sum, freedom.start[k]);
    }

    // Where degrees of freedom that are estimated start.
    double admitted(double start) const {
        const double least = step.freedom.least, most = step.freedom.most;
        return start < least ? least : start > most ? most : start;
    }

    // ν of so many rows, with Σ r E(log τ − τ); if there are none, where it starts.
    double likeliest(double rows, double sum, double start) const {
        const double least = step.freedom.least, most = step.freedom.most;
        if (!(rows > 0)) return admitted(start);
        return 2 * gamma_shape(-1 - sum / rows, least / 2, most / 2);
    }

    // A precision, of variances' roots.
    double squared(const double *roots, int64_t i) const {
        const double root = structure == DIAG ? roots[i] : roots[0];
        return root * root;
    }

    // (m − m₀)ᵀ P (m − m₀), of the present precision, or of variances' roots.
    double from_prior(const double *roots, const double *mean) {
        double sum = 0;
        for (int64_t i = 0; i < d; i++) {
            const double offset = mean[i] - step.prior.mean[i];
            double whitened = 0;
            if (roots) {
                whitened = squared(roots, i) * offset;
            } else {
                for (int64_t j = 0; j < d; j++)
                    whitened += precision[i * stride + j] * (mean[j] - step.prior.mean[j]);
            }
            sum += whitened * offset;
        }
        return sum;
    }

    // ν_k, of so many rows of a component, or of all of them if they share a covariance.
    double degrees(double count) const {
        const bool shared = structure == TIED;
        return step.prior.degrees + count / (shared ? step.prior.truncation : 1.0);
    }

    double total(const double *counts) const {
        double sum = 0;
        for (int64_t k = 0; k < K; k++) sum += counts[k];
        return sum;
    }

    // Σ ψ((ν − i)/2) and Σ log Γ((ν − i)/2), i = 0 …
    double digammas(double nu) const {
        double sum = 0;
        for (double i = 0; i < step.prior.dimensions; i++) sum += digamma(0.5 * (nu - i));
        return sum;
    }

    double log_gammas(double nu) const {
        double sum = 0;
        for (double i = 0; i < step.prior.dimensions; i++) sum += log_gamma(0.5 * (nu - i));
        return sum;
    }

    // KL(q ‖ p) of mixture m. `trace` is tr V₀P of all components, or of the one
    // precision that they share, and `pull` Σ (m − m₀)ᵀ P (m − m₀).
    double divergence(int64_t m, double trace, double pull) {
        const Prior &prior = step.prior;
        const double *counts = prior.counts + m * K, size = prior.dimensions;
        const bool shared = structure == TIED;
        double sum = 0.5 * ((shared ? prior.truncation : 1.0) * trace + prior.precision * pull);
        for (int64_t k = 0; k < K; k++) {
            const double ratio = prior.precision / (prior.precision + counts[k]);
            sum += 0.5 * size * (ratio - 1 - log_of(ratio));
        }
        for (int64_t k = 0; k < (shared ? 1 : K); k++) {
            const double nu = degrees(shared ? total(counts) : counts[k]);
            const double det = 2 * log_det[k] + prior.log_null - size * log_of(nu);
            const double expected = digammas(nu) + size * LOG_2 + det;
            const double norm = -0.5 * nu * (det + size * LOG_2) - log_gammas(nu);
            const double one = norm - prior.norm + 0.5 * (nu - prior.degrees) * expected -
                               0.5 * size * nu - 0.5 * prior.null * prior.degrees;
            sum += (shared ? prior.truncation : 1.0) * one;
        }
        return sum + (prior.weights == STICKS ? of_sticks(counts) : of_dirichlet(counts));
    }

    double of_sticks(const double *counts) const {
        const double gamma = step.prior.concentration;
        double sum = 0, after = 0;
        for (int64_t k = K - 1; k >= 0; k--) {
            const double a = 1 + counts[k], b = gamma + after, both = digamma(a + b);
            const double least = a < b ? a : b, most = a < b ? b : a;
            sum += log_rising(most, least) - log_gamma(least) - log_of(gamma);
            sum += counts[k] * (digamma(a) - both) + after * (digamma(b) - both);
            after += counts[k];
        }
        return sum;
    }

    double of_dirichlet(const double *counts) const {
        const double gamma = step.prior.concentration, all = step.prior.truncation * gamma;
        const double both = digamma(all + total(counts));
        double sum = log_rising(all, total(counts));
        for (int64_t k = 0; k < K; k++) {
            const double expected = digamma(gamma + counts[k]) - both;
            sum += counts[k] * expected - log_rising(gamma, counts[k]);
        }
        return sum;
    }

    // The posterior of the statistics of mixture m.
    bool update(int64_t m) {
        const Prior &prior = step.prior;
        const int64_t p = width();
        const bool shared = structure == TIED;
        double *scatter = precision, *counts = prior.next_counts + m * K;
        if (shared) spread_out(prior.truncation);
        for (int64_t k = 0; k < K; k++) {
            const double *sum = step.job.sums + (m * K + k) * p, *q = sum + 1 + d;
            const double n = counts[k] = sum[0];
            const double share = n / (prior.precision + n), count = n + prior.degrees;
            double *mean = step.next_means + (m * K + k) * d, *offset = inverse;
            double *u = step.next_cholesky + (m * K + k) * entries;
            double norm = 0, pull = 0;
            for (int64_t i = 0; i < d; i++) {
                diagonal[i] = n > 0 ? sum[1 + i] / n : 0;
                offset[i] = diagonal[i] - prior.mean[i];
                mean[i] = prior.mean[i] + share * offset[i];
                norm += diagonal[i] * diagonal[i];
                pull += offset[i] * offset[i];
            }
            const double between = prior.precision * share;
            if (matrices) {
                for (int64_t i = 0; i < d; i++)
                    for (int64_t j = i; j < d; j++) {
                        const double more = between * offset[i] * offset[j] -
                                            n * diagonal[i] * diagonal[j] +
                                            n * prior.row[i * d + j];
                        double &entry = scatter[i * stride + j];
                        if (shared) entry += more;
                        else entry = (*q++ + more + goal[i * stride + j]) / count;
                    }
                if (!shared && !whitening(u)) return false;
                continue;
            }
            for (int64_t i = 0; i < entries; i++) {
                const bool own = structure == DIAG;
                const double inner = own ? diagonal[i] * diagonal[i] : norm;
                const double outer = own ? offset[i] * offset[i] : pull;
                const double variance = (q[i] - n * inner + between * outer + n * prior.row[i] +
                                         step.target[i]) /
                                        (own ? count : (double)d * count);
                if (!(variance > 0)) return false;
                u[i] = 1 / __builtin_sqrt(variance);
            }
        }
        if (shared) {
            const double count = total(counts) + prior.truncation * prior.degrees;
            for (int64_t i = 0; i < triangles.size(); i++) scatter[i] /= count;
            if (!whitening(step.next_cholesky + m * entries)) return false;
        }
        return reweigh(m);
    }

    // What stands for log w_k, and E w_k, of the next counts.
    bool reweigh(int64_t m) {
        const Prior &prior = step.prior;
        const double *counts = prior.next_counts + m * K, size = prior.dimensions;
        double *logs = prior.next_effective + m * K, *weights = step.next_weights + m * K;
        const double all = total(counts), gamma = prior.concentration;
        const double both = digamma(prior.truncation * gamma + all);
        double after = 0, left = 1, before = 0, sum = 0;
        // Summed from the last, so that little is not lost beside much.
        for (int64_t k = K - 1; k >= 0; after += counts[k--]) weights[k] = gamma + after;
        for (int64_t k = 0; k < K; k++) {
            if (prior.weights == DIRICHLET) {
                logs[k] = digamma(gamma + counts[k]) - both;
                weights[k] = gamma + counts[k];
            } else {
                const double a = 1 + counts[k], b = weights[k], whole = digamma(a + b);
                logs[k] = digamma(a) - whole + before;
                before += digamma(b) - whole;
                weights[k] = a / (a + b) * left;
                left *= b / (a + b);
            }
            sum += weights[k];
        }
        double common = 0;
        for (int64_t k = 0; k < K; k++) {
            weights[k] /= sum;
            if (structure != TIED || k == 0) {
                const double nu = degrees(structure == TIED ? all : counts[k]);
                common = digammas(nu) + size * (LOG_2 - log_of(nu));
            }
            logs[k] += 0.5 * (common - size / (prior.precision + counts[k]));
            if (!__builtin_isfinite(logs[k])) return false;
        }
        return true;
    }

    bool maximise(int64_t m) {
        step.job.loglik[m] += common_terms[m];
        if (bayesian) return update(m);
        const int64_t p = width();
        double *sums = step.job.sums + m * K * p, *weights = step.next_weights + m * K;
        double *means = step.next_means + m * K * d, total = 0;
        if (heavy) {
            complete_owned(m);
            revise_freedom(m);
        }
        for (int64_t k = 0; k < K; k++) total += size_of(m * K + k);
        double *scatter = precision;
        if (structure == TIED) heavy ? gather(sums) : spread_out(step.epsilon);
        for (int64_t k = 0; k < K; k++) {
            // What rows count for a location may be less than what they are.
            const double *sum = sums + k * p, n = sum[0], size = size_of(m * K + k);
            const double *before = step.means + (m * K + k) * d;
            double *mean = means + k * d;
            weights[k] = size / total;
            for (int64_t i = 0; i < d; i++) {
                const double offset = n > 0 ? sum[1 + i] / n : 0;
                diagonal[i] = offset;
                mean[i] = n > 0 ? offset + (model.centred ? before[i] : 0) : before[i];
            }
            const double *q = sum + 1 + d;
            const double count = size + step.epsilon;
            double *u = step.next_cholesky + (m * K + k) * entries;
            if (step.structure > SPHERICAL) {
                shapes.n[k] = count;
                double *own = shapes.W + k * entries, norm = 0;
                for (int64_t i = 0; i < d; i++) norm += diagonal[i] * diagonal[i];
                for (int64_t i = 0; i < (matrices ? d : entries); i++)
                    for (int64_t j = i; j < (matrices ? d : i + 1); j++) {
                        const int64_t place = matrices ? i * d + j : i;
                        const double square = structure == SPHERICAL ? norm
                                                                     : diagonal[i] * diagonal[j];
                        own[place] = *q++ - n * square + step.epsilon * step.target[place];
                        if (matrices) own[j * d + i] = own[place];
                        if (i == j) own[place] += values(count) * ridge(i);
                    }
            } else if (structure == FULL) {
                const double share = 1 / count;
                for (int64_t i = 0; i < d; q += d - i++) {
                    const double offset = n * diagonal[i];
                    for (int64_t j = i; j < d; j++) {
                        const double own = q[j - i] - offset * diagonal[j];
                        scatter[i * stride + j] = (own + step.epsilon * goal[i * stride + j]) * share;
                    }
                }
                complete(scatter);
                if (!whitening(u)) return false;
            } else if (structure == TIED) {
                for (int64_t i = 0; i < d; i++)
                    for (int64_t j = i; j < d; j++)
                        scatter[i * stride + j] -= n * diagonal[i] * diagonal[j];
            } else {
                double norm = 0;
                for (int64_t i = 0; i < d; i++) norm += diagonal[i] * diagonal[i];
                for (int64_t i = 0; i < entries; i++) {
                    const double square = structure == DIAG ? diagonal[i] * diagonal[i] : norm;
                    const double own = q[i] - n * square + step.epsilon * step.target[i];
                    if (!take_root(own, count, i, u)) return false;
                }
            }
        }
        if (step.structure > SPHERICAL) return together(m);
        if (structure != TIED) return true;
        for (int64_t i = 0; i < triangles.size(); i++) scatter[i] /= total + step.epsilon;
        complete(scatter);
        return whitening(step.next_cholesky + m * entries);
    }

    // The next factors of a shape, of the scatter of all components.
    bool together(int64_t m) {
        for (int64_t k = 0; k < K; k++) {
            const double *u = factor(m, k);
            log_det[k] = 0;
            for (int64_t i = 0; i < d; i++)
                log_det[k] += log_of(matrices ? u[i * d + i] : u[structure == DIAG ? i : 0]);
            if (!shapes.wants_covariances()) continue;
            triangles.widen(u, root);
            triangles.invert(root, inverse);
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = 0; j <= i; j++) {
                    double sum = 0;
                    for (int64_t l = 0; l <= j; l++)
                        sum += inverse[l * stride + i] * inverse[l * stride + j];
                    before[(k * d + i) * d + j] = before[(k * d + j) * d + i] = sum;
                }
        }
        if (!shapes.estimate(log_det, before)) return false;
        double *u = step.next_cholesky + m * K * entries;
        for (int64_t k = 0; k < K; k++) {
            double *own = shapes.W + k * entries;
            if (matrices) {
                triangles.widen(own, precision);
                if (!whitening(u + k * entries)) return false;
                continue;
            }
            for (int64_t i = 0; i < entries; i++) {
                if (!(own[i] > 0)) return false;
                u[k * entries + i] = 1 / __builtin_sqrt(own[i]);
            }
        }
        return true;
    }

    // The scatter of t components, with the pseudo-observations.
    void gather(const double *sums) {
        const int64_t p = width();
        for (int64_t i = 0; i < triangles.size(); i++) precision[i] = step.epsilon * goal[i];
        for (int64_t k = 0; k < K; k++) {
            const double *q = sums + k * p + 1 + d;
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = i; j < d; j++) precision[i * stride + j] += *q++;
        }
    }

    // The scatter of all samples, with so many rows of the target.
    void spread_out(double rows) {
        triangles.widen(step.second, precision);
        for (int64_t i = 0; i < triangles.size(); i++) precision[i] += rows * goal[i];
    }

    // U with Σ⁻¹ = U Uᵀ, of the upper triangle of Σ. False, if that is not positive
    // definite.
    bool whitening(double *u) {
        if (!triangles.factor(precision, root)) return false;
        triangles.invert(root, inverse);
        triangles.narrow(inverse, u);
        return true;
    }
};

// Coordinates about a base: `Chart` and `Storage.to_chart` in Python say which. Every
// field has eight bytes.
struct Chart {
    int64_t structure, d, K;
    const double *shares, *means, *cholesky;
    const double *share_scale, *mean_scale;  // (K,)
    const double *covariance_scale;          // (K,), or (1,) of one that all share
    char *scratch;                           // three matrices and a row

    bool matrices() const { return structure == FULL || structure == TIED; }
    int64_t entries() const { return matrices() ? d * d : structure == DIAG ? d : 1; }

    void pack(const double *w, const double *mu, const double *u, double *out) const {
        double middle = 0;
        for (int64_t k = 0; k < K; k++) {
            out[k] = log_of(w[k]) - log_of(shares[k]);
            middle += (shares[k] < TINY ? TINY : shares[k]) * out[k];
        }
        for (int64_t k = 0; k < K; k++) out[k] = share_scale[k] * (out[k] - middle);
        double *means_out = out + K, *at = means_out + K * d;
        for (int64_t k = 0; k < K; k++) {
            const double *base = cholesky + (structure == TIED ? 0 : k) * entries();
            for (int64_t i = 0; i < d; i++) {
                double sum = 0;
                for (int64_t j = 0; matrices() && j <= i; j++)
                    sum += base[j * d + i] * (mu[k * d + j] - means[k * d + j]);
                if (!matrices())
                    sum = base[structure == DIAG ? i : 0] * (mu[k * d + i] - means[k * d + i]);
                means_out[k * d + i] = mean_scale[k] * sum;
            }
            if (structure == TIED && k) continue;
            const double *own = u + k * entries(), size = covariance_scale[k];
            if (matrices()) {
                pack_matrix(base, own, size, at);
                at += d * (d + 1) / 2;
                continue;
            }
            for (int64_t i = 0; i < entries(); i++)
                *at++ = size * SQRT_2 * log_of(base[i] / own[i]);
        }
    }

    void unpack(const double *in, double *w, double *mu, double *u) const {
        double top = 0, sum = 0;
        for (int64_t k = 0; k < K; k++) {
            w[k] = log_of(shares[k]) + in[k] / share_scale[k];
            top = k == 0 || w[k] > top ? w[k] : top;
        }
        for (int64_t k = 0; k < K; k++) sum += w[k] = exp_of(w[k] - top);
        const double *means_in = in + K, *at = means_in + K * d;
        for (int64_t k = 0; k < K; k++) {
            w[k] /= sum;
            const double *base = cholesky + (structure == TIED ? 0 : k) * entries();
            // U₀⁻ᵀ x, from the first row on
            for (int64_t i = 0; i < d; i++) {
                double *moved = mu + k * d;
                moved[i] = means_in[k * d + i] / mean_scale[k];
                for (int64_t j = 0; matrices() && j < i; j++) moved[i] -= base[j * d + i] * moved[j];
                moved[i] /= matrices()          ? base[i * d + i]
                            : structure == DIAG ? base[i]
                                                : base[0];
            }
            if (structure == TIED && k) continue;
            double *own = u + k * entries();
            const double size = covariance_scale[k];
            if (matrices()) {
                unpack_matrix(base, at, size, own);
                at += d * (d + 1) / 2;
                continue;
            }
            for (int64_t i = 0; i < entries(); i++)
                own[i] = base[i] * exp_of(-*at++ / (size * SQRT_2));
        }
        for (int64_t i = 0; i < K * d; i++) mu[i] += means[i];
    }

  private:
    // Cᵀ = U⁻¹ U₀
    void pack_matrix(const double *base, const double *own, double size, double *at) const {
        const Triangles t(d);
        double *u = matrix(0), *inverse = matrix(1), *right = matrix(2);
        t.widen(own, u);
        t.invert(u, inverse);
        t.widen(base, right);
        for (int64_t i = 0; i < d; i++) {
            multiply_row(t, inverse + i * t.stride, right, i, matrix(3));
            *at++ = size * SQRT_2 * log_of(matrix(3)[i]);
            for (int64_t j = i + 1; j < d; j++) *at++ = size * matrix(3)[j];
        }
    }

    void unpack_matrix(const double *base, const double *at, double size, double *own) const {
        const Triangles t(d);
        double *ratio = matrix(0), *inverse = matrix(1), *left = matrix(2);
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < t.stride; j++)
                ratio[i * t.stride + j] = j < i || j >= d ? 0
                                          : j == i        ? exp_of(*at++ / (size * SQRT_2))
                                                          : *at++ / size;
        t.invert(ratio, inverse);
        t.widen(base, left);
        for (int64_t i = 0; i < d; i++) {
            multiply_row(t, left + i * t.stride, inverse, i, matrix(3));
            for (int64_t j = 0; j < d; j++) own[i * d + j] = matrix(3)[j];
        }
    }

    double *matrix(int64_t i) const {
        return (double *)(((uintptr_t)scratch + WIDTH - 1) / WIDTH * WIDTH) +
               i * Triangles(d).size();
    }

    // Σ_l a_l B_l from l = first on
    static void multiply_row(const Triangles &t, const double *a, const double *b,
                             int64_t first, double *out) {
        for (int64_t c = 0; c < t.stride; c += Triangles::lanes) {
            Vf8 sum{};
            for (int64_t l = first; l < t.d; l++) sum += a[l] * load(b + l * t.stride + c);
            store(out + c, sum);
        }
    }
};

// How far to follow the map, and what `LBFGS` in Python has of constants. Every field has
// eight bytes.
struct Follow {
    int64_t max_iter;
    double tol;
    double value;  // it is given up where twice the gain of a step, for each that is left,
    int64_t look;  // would not reach this, from so many steps on
    int64_t warm_up, memory, hindsight, patience, window;
    double longest, least_trust, endless, floor, single, far, smallest_weight;
    int64_t n_path;  // of an earlier run
    double *path;    // (memory + 1, 2, size): mixtures and where they lead; then of this one
    double *values;  // (max_iter + 1, 2), written: log-likelihoods, objectives
    double *found;   // written: whether it converged, what is left, the steps of LBFGS, and
                     // how long the path is
    double *scratch;
};

// The last few of some numbers.
struct Lately {
    double values[16];
    int64_t n = 0, most;

    explicit Lately(int64_t size) : most(size) {}

    void add(double value) {
        if (n == most) __builtin_memmove(values, values + 1, --n * sizeof *values);
        values[n++] = value;
    }
};

// Quasi-Newton steps from one mixture to the end, as `solve` takes them with `LBFGS`.
class Follower {
    Stepper &map;
    const Step &step;
    const Follow &follow;
    const int64_t structure, K, d, factors, entries, n_free, plain_size, size, own, p;
    Chart chart;
    double *ring, *base, *scales, *x, *r, *direction, *target, *first, *second, *there;
    double *S, *Y, *SY, *YY, *a, *b;
    int64_t head = 0, count = 0, pairs = 0;  // of the path; of the memory
    int64_t steps = 0, rejections = 0, plain_left = 0, flat = 0;
    double trust = 1, gain = __builtin_inf();
    bool plain = true;
    Lately estimates{5}, shrinkages{3}, gains;

  public:
    int64_t room;  // numbers of scratch memory

    Follower(Stepper &m, const Step &s, const Follow &f)
        : map(m), step(s), follow(f), structure(storage_of(s.structure)), K(s.K), d(s.d),
          factors(structure == TIED ? 1 : K),
          entries(structure == DIAG ? d : structure == SPHERICAL ? 1 : d * d),
          n_free(s.freedom.kind == EACH ? K : s.freedom.kind == COMMON ? 1 : 0),
          plain_size(K + K * d + factors * entries),
          size(plain_size + (s.freedom.kind == GAUSSIAN ? 0 : K)),
          own(structure == DIAG ? d : structure == SPHERICAL ? 1 : d * (d + 1) / 2),
          p(K + K * d + factors * own + n_free), gains(2 * f.window) {
        double *at = f.scratch;
        const auto take = [&at](int64_t n) {
            double *here = at;
            at += n;
            return here;
        };
        const int64_t most = f.memory;
        ring = take(longest() * 2 * size);
        base = take(size);
        scales = take(p);
        double **const vectors[] = {&x, &r, &direction, &target, &first, &second, &there};
        for (double **each : vectors) *each = take(p);
        S = take(most * p);
        Y = take(most * p);
        SY = take(most * most);
        YY = take(most * most);
        a = take(most);
        b = take(most);
        double *share_scale = take(K), *covariance_scale = take(K);
        const Triangles triangles(d);
        double *scratch = take(WIDTH / 8 + 3 * triangles.size() + triangles.stride);
        chart = Chart{structure, d, K, base, base + K, base + K + K * d, share_scale,
                      share_scale, covariance_scale, (char *)scratch};
        room = at - f.scratch;
    }

    // Return how many steps were taken; −1 if the caller must take them.
    int64_t run() {
        for (int64_t i = 0; i < follow.n_path; i++) remember_place(follow.path + i * 2 * size);
        if (count) settle(count);
        const int64_t known = pairs;
        count = head = 0;
        double objective, loglik, previous = -__builtin_inf();
        if (!evaluate(objective, loglik)) return -1;
        accept();
        if (known) {
            steps = follow.warm_up;
            put_chart();
            locate(last(), x, r);
            aim();
        }
        int64_t n = 0;
        bool converged = false, here = true;
        follow.values[0] = loglik;
        follow.values[1] = objective;
        while (n < follow.max_iter && !converged) {
            propose();
            double trial, its;
            if (!evaluate(trial, its)) return -1;
            const double least = objective - follow.floor * __builtin_fabs(objective);
            const bool accepted = plain || trial >= least;
            if (accepted) accept();
            learn(objective, trial, accepted);
            if (accepted) {
                objective = trial;
                loglik = its;
            }
            here = accepted;
            n++;
            follow.values[2 * n] = loglik;
            follow.values[2 * n + 1] = objective;
            converged = follow.tol > 0 && remaining() <= follow.tol;
            const double ahead = 2 * (objective - previous) * (double)(follow.max_iter - n);
            previous = objective;
            if (n >= follow.look && objective + ahead < follow.value) break;
        }
        if (!here) {
            go(last());
            if (!evaluate(objective, loglik)) return -1;
        }
        follow.found[0] = converged;
        follow.found[1] = remaining();
        follow.found[2] = (double)steps;
        for (int64_t i = 0; i < count; i++) copy(follow.path + i * 2 * size, place(i), 2 * size);
        follow.found[3] = (double)count;
        return n;
    }

  private:
    static void copy(double *to, const double *from, int64_t n) {
        __builtin_memmove(to, from, n * sizeof *to);
    }

    // Places of the path that are kept.
    int64_t longest() const { return follow.memory + 1; }

    double *place(int64_t i) const { return ring + (head + i) % longest() * 2 * size; }
    double *last() const { return place(count - 1); }

    double *new_place() {
        if (count == longest()) head = (head + 1) % longest();
        else count++;
        return last();
    }

    void remember_place(const double *from) { copy(new_place(), from, 2 * size); }

    // Add where the last step was taken from to the path.
    void accept() {
        double *at = new_place();
        for (int i = 0; i < 2; i++, at += size) {
            copy(at, i ? step.next_weights : step.weights, K);
            copy(at + K, i ? step.next_means : step.means, K * d);
            copy(at + K + K * d, i ? step.next_cholesky : step.cholesky, factors * entries);
            if (size > plain_size)
                copy(at + plain_size, i ? step.freedom.next_df : step.freedom.df, K);
        }
    }

    // Make a mixture the present one.
    void go(const double *from) {
        copy(step.weights, from, K);
        copy(step.means, from + K, K * d);
        copy(step.cholesky, from + K + K * d, factors * entries);
        if (size > plain_size) copy(step.freedom.df, from + plain_size, K);
    }

    bool evaluate(double &objective, double &loglik) {
        if (!map.run(1)) return false;
        loglik = step.job.loglik[0];
        objective = loglik - step.penalty[0];
        return true;
    }

    void pack(const double *w, const double *mu, const double *u, const double *df,
              double *out) const {
        chart.pack(w, mu, u, out);
        for (int64_t i = 0, at = p - n_free; i < n_free; i++, at++)
            out[at] = scales[at] * (log_of(df[i]) - log_of(base[plain_size + i]));
    }

    void pack(const double *mixture, double *out) const {
        pack(mixture, mixture + K, mixture + K + K * d, mixture + plain_size, out);
    }

    // Coordinates → the present mixture.
    void unpack(const double *in) const {
        chart.unpack(in, step.weights, step.means, step.cholesky);
        for (int64_t k = 0; k < size - plain_size; k++) {
            const int64_t i = n_free == 1 ? 0 : k, at = p - n_free + i;
            double &df = step.freedom.df[k];
            df = base[plain_size + k];
            if (!n_free) continue;
            const double move = in[at] / scales[at];
            df *= exp_of(move < -50 ? -50 : move > 50 ? 50 : move);
            df = df < step.freedom.least ? step.freedom.least
                 : df > step.freedom.most ? step.freedom.most : df;
        }
    }

    // Put the chart at the end of the path.
    void put_chart() {
        copy(base, last(), size);
        double *at = scales + K;
        for (int64_t k = 0; k < K; k++) {
            const double least = follow.smallest_weight;
            const double share = base[k] > least ? base[k] : least;
            const double root = __builtin_sqrt(step.total_weight * share);
            const double all = __builtin_sqrt(step.total_weight);
            const double spread = structure == SPHERICAL ? __builtin_sqrt((double)d) : 1;
            ((double *)chart.share_scale)[k] = scales[k] = root;
            ((double *)chart.covariance_scale)[k] = structure == TIED ? all : root * spread;
            for (int64_t i = 0; i < d; i++) *at++ = root;
        }
        for (int64_t k = 0; k < factors; k++)
            for (int64_t i = 0; i < own; i++) *at++ = chart.covariance_scale[k];
        // Of each row, that of its τ ~ Gamma(ν/2, ν/2) on log ν.
        for (int64_t i = 0; i < n_free; i++) {
            const double least = follow.smallest_weight;
            const double share = n_free == 1 ? 1 : larger(base[i], least);
            const double known = shape_information(0.5 * base[plain_size + i]);
            *at++ = __builtin_sqrt(step.total_weight * share * known);
        }
    }

    // Coordinates of a mixture, and the plain step from there.
    void locate(const double *from, double *at, double *plain_step) const {
        pack(from, at);
        pack(from + size, plain_step);
        for (int64_t i = 0; i < p; i++) plain_step[i] -= at[i];
    }

    void settle() { settle(count < follow.hindsight ? count : follow.hindsight); }

    // Put the chart at the end of the path, and learn from so much of the path.
    void settle(int64_t most) {
        put_chart();
        pairs = 0;
        locate(place(count - most), x, r);
        for (int64_t i = count - most + 1; i < count; i++) {
            locate(place(i), target, there);
            remember(target, there);
            copy(x, target, p);
            copy(r, there, p);
        }
        aim();
    }

    // Keep the curvature between the present place and another, if it is that of a maximum.
    void remember(const double *at, const double *plain_step) {
        for (int64_t i = 0; i < p; i++) {
            first[i] = at[i] - x[i];
            second[i] = r[i] - plain_step[i];
        }
        const double product = dot(first, second, p);
        // The product of two squares may be out of range.
        const double norms = __builtin_sqrt(dot(first, first, p)) *
                             __builtin_sqrt(dot(second, second, p));
        if (!(product > 1e-8 * norms)) return;
        const int64_t most = follow.memory;
        if (pairs == most) {
            pairs--;
            copy(S, S + p, pairs * p);
            copy(Y, Y + p, pairs * p);
            for (int64_t i = 0; i < pairs; i++) {
                copy(SY + i * most, SY + (i + 1) * most + 1, pairs);
                copy(YY + i * most, YY + (i + 1) * most + 1, pairs);
            }
        }
        copy(S + pairs * p, first, p);
        copy(Y + pairs * p, second, p);
        for (int64_t i = 0; i <= pairs; i++) {
            SY[i * most + pairs] = dot(S + i * p, second, p);
            YY[i * most + pairs] = YY[pairs * most + i] = dot(Y + i * p, second, p);
        }
        pairs++;
    }

    // H r → direction: see `Memory.apply`.
    void aim() {
        const int64_t n = pairs, most = follow.memory;
        if (!n) return copy(direction, r, p);
        const double ratio = SY[(n - 1) * (most + 1)] / YY[(n - 1) * (most + 1)];
        const double gamma = ratio > 1 ? __builtin_sqrt(ratio) : 1;
        for (int64_t i = n - 1; i >= 0; i--) {
            a[i] = dot(S + i * p, r, p);
            for (int64_t j = i + 1; j < n; j++) a[i] -= SY[i * most + j] * a[j];
            a[i] /= SY[i * most + i];
        }
        for (int64_t i = 0; i < n; i++)
            b[i] = SY[i * most + i] * a[i] +
                   gamma * (dot(YY + i * most, a, n) - dot(Y + i * p, r, p));
        for (int64_t i = 0; i < p; i++) direction[i] = gamma * r[i];
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < i; j++) b[i] -= SY[j * most + i] * b[j];
            b[i] /= SY[i * most + i];
            const double *s = S + i * p, *y = Y + i * p, of_s = b[i], of_y = gamma * a[i];
            for (int64_t j = 0; j < p; j++) direction[j] += of_s * s[j] - of_y * y[j];
        }
    }

    // Make what is to be tried the present mixture.
    void propose() {
        steps++;
        plain = steps <= follow.warm_up || plain_left;
        if (plain) {
            go(last() + size);
            if (steps <= follow.warm_up) return;
            plain_left--;
            for (int64_t i = 0; i < p; i++) target[i] = x[i] + r[i];
            return;
        }
        double farthest = follow.longest;
        for (int64_t i = 0; i < p; i++)
            farthest = larger(farthest, __builtin_fabs(direction[i] / scales[i]));
        const double length = trust * (follow.longest / farthest);
        for (int64_t i = 0; i < p; i++) target[i] = x[i] + length * direction[i];
        unpack(target);
    }

    void learn(double before, double after, bool accepted) {
        const double gained = after - before, height = __builtin_fabs(before);
        gains.add(accepted ? gained : 0);
        const bool warm = steps <= follow.warm_up;
        const bool fell = warm && -follow.single * height <= gained && gained < 0;
        flat = fell || __builtin_fabs(gained) <= follow.floor * height ? flat + 1 : 0;
        if (warm) {
            if (steps == follow.warm_up) settle();
            return;
        }
        pack(step.next_weights, step.next_means, step.next_cholesky, step.freedom.next_df, there);
        for (int64_t i = 0; i < p; i++) there[i] -= target[i];
        remember(target, there);
        if (!accepted) {
            rejections++;
            if (rejections > 2) trust = larger(trust / 4, follow.least_trust);
            const int64_t several = rejections < follow.patience ? rejections : follow.patience;
            plain_left = gain > follow.far * (double)p ? several : 1;
            return rejections % 3 == 0 ? settle() : aim();
        }
        gain = gained;
        if (!plain) {
            rejections = 0;
            trust = 2 * trust < 1 ? 2 * trust : 1;
        }
        const double norm = __builtin_sqrt(dot(r, r, p));
        shrinkages.add(norm > 0 ? __builtin_sqrt(dot(there, there, p)) / norm : 0);
        copy(x, target, p);
        copy(r, there, p);
        aim();
        estimates.add(0.5 * dot(r, direction, p));
    }

    double remaining() const {
        if (flat >= 3) return 0;
        if (steps <= follow.warm_up) return __builtin_inf();
        bool known = false;
        for (int64_t i = 0; shrinkages.n == 3 && i < 3; i++) known |= shrinkages.values[i] <= 0.5;
        const int64_t needed = known ? 3 : 5;
        if (estimates.n < needed) return __builtin_inf();
        double most = still_coming();
        for (int64_t i = estimates.n - needed; i < estimates.n; i++)
            most = larger(most, estimates.values[i]);
        return most;
    }

    // What is left if gains go on shrinking as from window to window.
    double still_coming() const {
        const int64_t half = gains.n / 2;
        double before = 0, lately = 0;
        for (int64_t i = 1; i <= half; i++) {
            lately += gains.values[gains.n - i];
            before += gains.values[gains.n - half - i];
        }
        if (lately <= 0) return 0;
        const double times = before > lately ? lately / (before - lately) : follow.endless;
        return lately * (times < 1 ? 1 : times > follow.endless ? follow.endless : times);
    }
};

}  // namespace

// The sizes of what the caller passes: whether it was written for this library.
EXPORT int64_t skem_sizes(void) {
    return ((int64_t)sizeof(Model) << 20 | (int64_t)sizeof(Job)) << 20 | (int64_t)sizeof(Step);
}

// What the structs mean, and what can be done with them.
EXPORT int64_t skem_version(void) { return 24; }

// Threads that were started, for tests.
EXPORT int64_t skem_helpers(void) { return Team::all.size(); }

// Bytes of scratch memory that a pass needs.
EXPORT int64_t skem_scratch(const Model *model) { return scratch_bytes(*model); }

// Do the pass; return how many samples are left to the caller.
EXPORT int64_t skem_pass(const Model *model, const Job *job) {
    return model->itemsize == 8 ? Pass<double>(*model, *job).run()
                                : Pass<float>(*model, *job).run();
}

// Bytes of scratch memory that a step needs.
EXPORT int64_t skem_step_scratch(const Step *step) { return Stepper(*step).bytes(); }

// Do so many steps; return whether the caller must do them in another way.
EXPORT int64_t skem_step(const Step *step, int64_t steps) { return !Stepper(*step).run(steps); }

// A step in two halves, with a pass between them that the caller does by the model, which
// points into the step's scratch memory. 1, if the caller must take another way.
EXPORT int64_t skem_begin(const Step *step, Model *model) {
    return !Stepper(*step).begin_pass(*model);
}

EXPORT int64_t skem_finish(const Step *step) { return !Stepper(*step).finish(); }

// Bytes of scratch memory that a chart needs, where it has matrices.
EXPORT int64_t skem_chart_scratch(int64_t d) {
    const Triangles triangles(d);
    return WIDTH + (3 * triangles.size() + triangles.stride) * (int64_t)sizeof(double);
}

// A mixture → its coordinates.
EXPORT void skem_pack(const Chart *chart, const double *weights, const double *means,
                      const double *cholesky, double *out) {
    chart->pack(weights, means, cholesky, out);
}

// Coordinates → a mixture.
EXPORT void skem_unpack(const Chart *chart, const double *in, double *weights, double *means,
                        double *cholesky) {
    chart->unpack(in, weights, means, cholesky);
}

// The scale of clusters, and steps until it settles: see `Stepper::cluster`.
EXPORT int64_t skem_cluster(const Step *step, const Samples *samples, const double *resp,
                            int64_t views, int64_t steps, double little, double least,
                            double vanishing, int64_t times) {
    const Floor floor{step->epsilon, least, vanishing, times};
    return Stepper(*step).cluster(*samples, resp, views, steps, little, floor);
}

// Do several steps, as `Stepper::climb` does.
EXPORT int64_t skem_climb(const Step *step, int64_t count, double least, double *values) {
    return Stepper(*step).climb(count, least, values);
}

// Numbers of scratch memory that following the map needs.
EXPORT int64_t skem_follow_room(const Step *step, const Follow *follow) {
    Stepper map(*step);
    return Follower(map, *step, *follow).room;
}

// Follow the map from one mixture to the end, as `Follower` says.
EXPORT int64_t skem_follow(const Step *step, const Follow *follow) {
    Stepper map(*step);
    return Follower(map, *step, *follow).run();
}

// Steps of a stack of which the worse are given up, as `Stepper::contest` does.
EXPORT int64_t skem_contest(const Step *step, int64_t steps, double hope, double alike,
                            double least, double *objectives, double *gains) {
    return Stepper(*step).contest(steps, hope, alike, least, objectives, gains);
}

// Posterior probabilities (K, n); return whether the caller must find them.
EXPORT int64_t skem_responsibilities(const Step *step, double *resp) {
    return !Stepper(*step).responsibilities(resp);
}

// Moments of labelled samples; return whether the caller must find them.
EXPORT int64_t skem_sketch(const Step *step, const Samples *samples, const double *weight,
                           double no_account, double *resp, double *out) {
    return !Stepper(*step).sketch(*samples, weight, no_account, resp, out);
}

// An M-step of responsibilities (M, K, n); return whether the caller must do it.
EXPORT int64_t skem_label(const Step *step, const Samples *samples, const double *resp) {
    return !Stepper(*step).label(*samples, resp);
}

// Moves away from a mixture; return whether the caller must do them.
EXPORT int64_t skem_move(const Step *step, const Samples *samples, const Moves *moves) {
    return !Stepper(*step).move(*samples, *moves);
}

// Mixtures of tables: of each sample L `places` in a table, (R, P), whose rows have numbers
// of all K components of M mixtures, and zeros up to P, a multiple of 8. The joint
// probability of a sample and a component is the product of the rows it is looked up in;
// unless `given`, (M·K, n), has weighted responsibilities. `counts` of a row of the table
// are their sums over its samples, `order[starts[row] : starts[row + 1]]`: sums that many
// samples were added to, one after the other, would have to wait for each. `loglik`, (M,),
// is the sum of the logarithms of samples' densities. Where `known`, or null, is not
// negative, it is the component. `scratch` has room for P·n + 64·M + 64. Returns 1 where a
// density is not above `least`: products may lack digits, and what is written is of no use.
EXPORT int64_t skem_lookups(int64_t n, int64_t L, int64_t M, int64_t K, int64_t P, int64_t R,
                            double least, const int32_t *places, const int32_t *order,
                            const int32_t *starts, const int64_t *known, const double *weight,
                            const double *table, const double *given, double *counts,
                            double *loglik, double *scratch) {
    constexpr int64_t lanes = Simd<double>::lanes, tile = 64, wide = 8;
    constexpr int N = wide / lanes;
    // Of all samples, for eight components at a time.
    double *joint = scratch, *weights = joint + P * n, *totals = weights + tile;
    const auto at = [=](int64_t c) { return joint + c / wide * wide * n + c % wide; };
    for (int64_t c = 0; given && c < P; c++)
        for (int64_t i = 0; i < n; i++) at(c)[i * wide] = c < M * K ? given[c * n + i] : 0;
    for (int64_t m = 0; m < M; m++) loglik[m] = 0;
    for (int64_t begin = 0; !given && begin < n; begin += tile) {
        const int64_t b = n - begin < tile ? n - begin : tile;
        for (int64_t i = 0; i < tile; i++) weights[i] = i < b ? weight[begin + i] : 0;
        if (b < tile)
            for (int64_t i = 0; i < tile * M; i++) totals[i] = 1;
        for (int64_t c = 0; c < P; c += wide) {
            double *own = at(c) + begin * wide;
            const int32_t *place = places + begin * L;
            for (int64_t i = 0; i < b; i++, own += wide, place += L) {
                Vf8 product[N];
                UNROLL for (int r = 0; r < N; r++)
                    product[r] = load(table + place[0] * P + c + r * lanes);
                for (int64_t j = 1; j < L; j++) {
                    const double *row = table + place[j] * P + c;
                    UNROLL for (int r = 0; r < N; r++) product[r] *= load(row + r * lanes);
                }
                UNROLL for (int r = 0; r < N; r++) store(own + r * lanes, product[r]);
            }
        }
        for (int64_t i = 0; known && i < b; i++)
            for (int64_t c = 0; known[begin + i] >= 0 && c < M * K; c++)
                if (c % K != known[begin + i]) at(c)[(begin + i) * wide] = 0;
        for (int64_t i = 0; i < b; i++) {
            double *own = joint + (begin + i) * wide;
            if (M == 1) {
                Vf8 sum = {};
                for (int64_t c = 0; c < P; c += lanes)
                    sum += load(own + c / wide * wide * n + c % wide);
                const double density = total<double>(sum);
                if (!(density > least)) return 1;
                totals[i] = density;
                const Vf8 share = splat(weights[i] / density);
                for (int64_t c = 0; c < P; c += lanes) {
                    double *part = own + c / wide * wide * n + c % wide;
                    store(part, load(part) * share);
                }
                continue;
            }
            for (int64_t m = 0; m < M; m++) {
                double density = 0;
                for (int64_t c = m * K; c < (m + 1) * K; c++) density += at(c)[(begin + i) * wide];
                if (!(density > least)) return 1;
                totals[m * tile + i] = density;
                const double share = weights[i] / density;
                for (int64_t c = m * K; c < (m + 1) * K; c++) at(c)[(begin + i) * wide] *= share;
            }
        }
        for (int64_t m = 0; m < M; m++) {
            Vf8 sum = {};
            for (int64_t i = 0; i < tile; i += lanes)
                sum += load(weights + i) * logarithm<double>(load(totals + m * tile + i));
            loglik[m] += total<double>(sum);
        }
    }
    for (int64_t c = 0; c < P; c += wide)
        for (int64_t row = 0; row < R; row++) {
            Vf8 sum[2][N] = {};
            int64_t e = starts[row];
            for (; e + 1 < starts[row + 1]; e += 2)
                UNROLL for (int s = 0; s < 2; s++)
                    UNROLL for (int r = 0; r < N; r++)
                        sum[s][r] += load(at(c) + order[e + s] * wide + r * lanes);
            if (e < starts[row + 1])
                UNROLL for (int r = 0; r < N; r++)
                    sum[0][r] += load(at(c) + order[e] * wide + r * lanes);
            UNROLL for (int r = 0; r < N; r++)
                store(counts + row * P + c + r * lanes, sum[0][r] + sum[1][r]);
        }
    return 0;
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

// exp of n numbers, as fast as the pass takes them, for benchmarks: n is a multiple of 32.
EXPORT void skem_exponentials(int64_t n, const double *x, double *out) {
    constexpr int N = 4;
    for (int64_t i = 0; i < n; i += N * Simd<double>::lanes) {
        Vf8 v[N];
        __builtin_memcpy(v, x + i, sizeof v);
        exponentials<double, N, true>(v);
        __builtin_memcpy(out + i, v, sizeof v);
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
