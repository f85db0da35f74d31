/* The preset `learned`: retrieval by the blend, then one bandit over scaled features.
 *
 * The blend is a logistic model of `this viewer likes this video`: what is known of the item, ALS folded in from the
 * viewer's newest events (Hu, Koren and Volinsky, ICDM 2008), and co-views. Of each pool's candidates the best by the
 * blend are scored.
 */
#include "columns.h"
#include "heap.h"

#define SHRINK 2.0            /* events by which the viewer's part is shrunk: n / (n + SHRINK) */
#define FADING 0.8705505632961241 /* of an event against the one after it: a half after five */
#define LEAST_CLOSE 1e-4      /* added to a co-view, before its logarithm */

static const int MOVES[N_MOVING] = {1, 5, 6, 7, 8, 13, 17}; /* the moving columns among the features */
enum { GATE = 12 };

/* By halving and a series of atanh, so that every machine gives the same bits; to within 1e-15 of itself. x > 0 */
INLINE double logarithm(double x) {
    union { double value; uint64_t bits; } u = {x};
    int64_t exponent = (int64_t)(u.bits >> 52) - 1023;
    u.bits = (u.bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    if (u.value > 1.4142135623730951) u.value *= 0.5, exponent++;
    double s = (u.value - 1.0) / (u.value + 1.0), square = s * s, sum = 0.0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
    return (double)exponent * 0.6931471805599453 + 2.0 * s * sum;
}

/* Between 0 and 1, like the logistic function, but of the four operations and a root. */
INLINE double squashed(double x) { return 0.5 * (1.0 + x / sqrt(4.0 + x * x)); }

/* ---------------------------------------------------------------- the blend */

/* The viewer's factors: (gram + (c - 1) sum y y^T)^-1 c sum y over the events' videos, by Cholesky. */
static void fold_in(const Learned *l, const Request *q, float folded[MOST_FACTORS]) {
    double a[MOST_FACTORS * MOST_FACTORS], b[MOST_FACTORS] = {0.0}, own[MOST_FACTORS];
    int64_t n = l->n_factors;
    memcpy(a, l->gram, (size_t)(n * n) * sizeof *a);
    for (int64_t e = 0; e < q->n_evidence; e++) {
        const float *factors = l->factors + q->evidence[e] * n;
        for (int64_t i = 0; i < n; i++) own[i] = factors[i], b[i] += l->confidence * own[i];
        for (int64_t i = 0; i < n; i++) {
            double times = (l->confidence - 1.0) * own[i];
            for (int64_t j = 0; j <= i; j++) a[i * n + j] += times * own[j];
        }
    }
    for (int64_t j = 0; j < n; j++) { /* column by column, rows below it; b on the way */
        double *row = a + j * n, most = row[j];
        for (int64_t k = 0; k < j; k++) most -= row[k] * row[k];
        double root = most > 0.0 ? sqrt(most) : 0.0, inverse = root > 0.0 ? 1.0 / root : 0.0;
        row[j] = root;
        for (int64_t i = j + 1; i < n; i++) {
            double *below = a + i * n;
            Four sum = {0.0, 0.0, 0.0, 0.0};
            int64_t k = 0;
            for (; k + 4 <= j; k += 4) sum += *(const Four *)(below + k) * *(const Four *)(row + k);
            double left = below[j] - ((sum[0] + sum[2]) + (sum[1] + sum[3]));
            for (; k < j; k++) left -= below[k] * row[k];
            below[j] = left * inverse;
        }
        b[j] *= inverse;
        for (int64_t i = j + 1; i < n; i++) b[i] -= a[i * n + j] * b[j];
    }
    for (int64_t j = n - 1; j >= 0; j--) {
        for (int64_t i = j + 1; i < n; i++) b[j] -= a[i * n + j] * b[i];
        b[j] = a[j * n + j] > 0.0 ? b[j] / a[j * n + j] : 0.0;
        folded[j] = (float)b[j];
    }
}

INLINE double dot(const float *a, const float *b, int64_t n) {
    typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));
    Eight sum = {0.0f};
    int64_t k = 0;
    for (; k + 8 <= n; k += 8) sum += *(const Eight *)(a + k) * *(const Eight *)(b + k);
    double whole = (((double)sum[0] + sum[4]) + ((double)sum[2] + sum[6])) + (((double)sum[1] + sum[5]) + ((double)sum[3] + sum[7]));
    for (; k < n; k++) whole += a[k] * b[k];
    return whole;
}

/* How close each video is to those of the events, and what share of these has it among its neighbours. */
static void find_near(const Catalogue *c, const Request *q, Room *room) {
    const Learned *l = &c->learned;
    double fading = 1.0, all = 0.0;
    memset(room->near, 0, (size_t)c->n_videos * sizeof *room->near);
    for (int64_t e = 0; e < q->n_evidence; e++) all += fading, fading *= FADING;
    fading = 1.0 / all;
    for (int64_t e = 0; e < q->n_evidence; e++, fading *= FADING) {
        int64_t from = q->evidence[e] * l->n_near;
        for (int64_t k = from; k < from + l->n_near; k++) {
            room->near[l->near[k]][0] += fading;
            room->near[l->near[k]][1] += fading * l->closeness[k];
        }
    }
}

/* Log-odds that the viewer likes each video, into `room->likely`. */
INLINE void blend(const Catalogue *c, const Request *q, Room *room) {
    const Learned *l = &c->learned;
    if (!q->n_evidence) {
        memcpy(room->likely, l->cold, (size_t)c->n_videos * sizeof *room->likely);
        return;
    }
    float folded[MOST_FACTORS] __attribute__((aligned(32)));
    double known = (double)q->n_evidence / ((double)q->n_evidence + SHRINK), als = l->als * known;
    fold_in(l, q, folded);
    find_near(c, q, room);
    for (int64_t row = 0; row < c->n_videos; row++) {
        double close = l->apart[row] * (1.0 - room->near[row][0]) + room->near[row][1];
        close = close > 0.0 ? known * close : 0.0;
        room->likely[row] = l->warm[row] + als * dot(l->factors + row * l->n_factors, folded, l->n_factors) +
                            l->co_view * logarithm(LEAST_CLOSE + close);
    }
}

/* ---------------------------------------------------------------- the bandit */

INLINE void features_of(const Catalogue *c, const Request *q, const Room *room, int64_t row, uint64_t noise,
                        double x[N_SCALED]) {
    const Learned *l = &c->learned;
    double z[LANES] __attribute__((aligned(32)));
    memcpy(x, l->fixed + row * N_SCALED, N_SCALED * sizeof *x);
    of_viewer(c->videos + row, q, room, z);
    of_moment(c, c->videos + row, q, noise, z);
    for (int k = 0; k < N_MOVING; k++) {
        double value = z[k] * l->scale[k];
        x[MOVES[k]] = value > 1.0 ? 1.0 : value;
    }
    x[LIKELY] = squashed(room->likely[row]);
}

INLINE double ucb(const Learned *l, const double x[N_SCALED]) {
    enum { FOURS = N_SCALED / 4 };
    const Four *theta = (const Four *)l->theta, *at = (const Four *)x;
    Four mean = theta[0] * at[0], parts[FOURS] = {{0.0}}, square;
    for (int k = 1; k < FOURS; k++) mean += theta[k] * at[k];
    for (int j = 0; j < N_SCALED; j++)
        for (int k = j / 4; k < FOURS; k++) parts[k] += ((const Four *)l->root[j])[k] * x[j];
    square = parts[0] * parts[0];
    for (int k = 1; k < FOURS; k++) square += parts[k] * parts[k];
    double width = sum_of(square);
    return sum_of(mean) + l->beta_variance * width + l->alpha * sqrt(width);
}

EXPORT QUICK void talentfeed_likely(const Catalogue *c, const Request *q, Room *room) { blend(c, q, room); }

/* Those of each learning pool that are scored, by the blend, best first. Wants `room->unseen`; leaves `room->likely`. */
EXPORT QUICK void talentfeed_retrieve(const Catalogue *c, const Request *q, Room *room) {
    const Learned *l = &c->learned;
    blend(c, q, room);
    for (int pool = 0; pool < N_LEARNING; pool++) room->n_retrieved[pool] = 0;
    for (int64_t w = 0; w < c->words; w++)
        for (uint64_t left = room->unseen[VIDEO][w]; left; left &= left - 1) {
            int64_t row = w * 64 + __builtin_ctzll(left);
            Scored one = {room->likely[row], (int32_t)row, 0};
            offer(room->retrieved[AFFINITY], &room->n_retrieved[AFFINITY], l->most[AFFINITY], one);
            if (l->fixed[row * N_SCALED + GATE] > 0.0)
                offer(room->retrieved[POPULAR], &room->n_retrieved[POPULAR], l->most[POPULAR], one);
            if (is_new(c, row, q->now)) offer(room->retrieved[FRESH], &room->n_retrieved[FRESH], l->most[FRESH], one);
        }
    for (int pool = 0; pool < N_LEARNING; pool++) best_first(room->retrieved[pool], room->n_retrieved[pool]);
}

/* Each learning pool's shortlist, best first. Wants `room->unseen`. */
EXPORT QUICK void talentfeed_learned_shortlists(const Catalogue *c, const Request *q, Room *room) {
    talentfeed_retrieve(c, q, room);
    uint64_t noise = key_of(q->seed, STREAM_FEATURE);
    arrange(c, q, room);
    for (int pool = 0; pool < N_LEARNING; pool++) {
        int64_t n = 0;
        for (int64_t i = 0; i < room->n_retrieved[pool]; i++) {
            double x[N_SCALED] __attribute__((aligned(32)));
            int32_t row = room->retrieved[pool][i].row;
            features_of(c, q, room, row, noise, x);
            offer(room->listed[pool], &n, c->boards[pool].size, (Scored){ucb(&c->learned, x), row, 0});
        }
        room->looked += room->n_retrieved[pool];
        best_first(room->listed[pool], n);
        room->n_listed[pool] = n;
    }
    clear(c, q, room);
}

/* The score of every video, by row: what explains a feed. Wants `room->likely`. */
EXPORT QUICK void talentfeed_learned_scores(const Catalogue *c, const Request *q, Room *room, double *scores) {
    uint64_t noise = key_of(q->seed, STREAM_FEATURE);
    arrange(c, q, room);
    for (int64_t row = 0; row < c->n_videos; row++) {
        double x[N_SCALED] __attribute__((aligned(32)));
        features_of(c, q, room, row, noise, x);
        scores[row] = ucb(&c->learned, x);
    }
    clear(c, q, room);
}

/* The scaled features of some videos, (n, N_SCALED). Wants `room->likely`. */
EXPORT void talentfeed_scaled(const Catalogue *c, const Request *q, Room *room, const int64_t *rows, int64_t n,
                              double *columns) {
    uint64_t noise = key_of(q->seed, STREAM_FEATURE);
    arrange(c, q, room);
    for (int64_t i = 0; i < n; i++) features_of(c, q, room, rows[i], noise, columns + i * N_SCALED);
    clear(c, q, room);
}
