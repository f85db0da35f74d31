/* The preset `learned`: retrieval by the blend, then one bandit over scaled features.
 *
 * The blend is a logistic model of `this viewer likes this video`: what is known of the item, ALS folded in from the
 * viewer's newest events (Hu, Koren and Volinsky, ICDM 2008), and co-views; without events what suits the profile. Of
 * each pool's candidates the best by it are scored; only of these it is asked what suits the taste.
 */
#include "columns.h"
#include "heap.h"

#define SHRINK 2.0            /* events by which the viewer's part is shrunk: n / (n + SHRINK) */
#define FADING 0.8705505632961241 /* of an event against the one after it: a half after five */
#define LEAST_CLOSE 1e-4      /* added to a co-view, before its logarithm */

static const int MOVES[N_MOVING] = {1, 5, 6, 7, 8, 13, 17}; /* the moving columns among the features */
enum { GATE = 12 };

typedef int64_t Wholes __attribute__((vector_size(32)));

/* In place. Of the four operations, so that every machine gives the same bits; to within 1e-10. x > 0 */
INLINE void logarithms(Four *x) {
    static const double TERMS[] = {1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0}; /* of atanh */
    Wholes bits = (Wholes)*x, exponent = (bits >> 52) - 1023;
    Four m = (Four)((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000); /* x = m 2^exponent, 1 <= m < 2 */
    Wholes above = m > 1.4142135623730951;
    exponent -= above; /* true is -1 */
    m = (Four)((Wholes)m - (above & 0x0010000000000000)); /* half of it */
    Four s = (m - 1.0) / (m + 1.0), square = s * s, sum = square * (1.0 / 13);
    for (int k = 0; k < 5; k++) sum = (sum + TERMS[k]) * square;
    Four whole = (Four)(exponent + 0x4338000000000000) - 6755399441055744.0; /* as a number */
    *x = whole * 0.6931471805599453 + 2.0 * s * (sum + TERMS[5]);
}

/* Between 0 and 1, like the logistic function, but of the four operations and a root. */
INLINE double squashed(double x) { return 0.5 * (1.0 + x / sqrt(4.0 + x * x)); }

/* ---------------------------------------------------------------- the blend */

INLINE double inner(const double *a, const double *b, int64_t n) {
    Four sum = {0.0, 0.0, 0.0, 0.0};
    int64_t k = 0;
    for (; k + 4 <= n; k += 4) sum += *(const Four *)(a + k) * *(const Four *)(b + k);
    double whole = sum_of(sum);
    for (; k < n; k++) whole += a[k] * b[k];
    return whole;
}

/* The viewer's factors: (gram + (c - 1) sum y y^T)^-1 c sum y over the events' videos, by Cholesky. */
INLINE void fold_in(const Learned *l, const Request *q, float folded[MOST_FACTORS]) {
    enum { TOGETHER = 4 };
    double a[MOST_FACTORS * MOST_FACTORS], b[MOST_FACTORS] = {0.0}, own[TOGETHER][MOST_FACTORS];
    int64_t n = l->n_factors;
    memcpy(a, l->gram, (size_t)(n * n) * sizeof *a);
    for (int64_t e = 0; e < q->n_evidence; e += TOGETHER) {
        for (int64_t t = 0; t < TOGETHER; t++)
            for (int64_t i = 0; i < n; i++)
                own[t][i] = e + t < q->n_evidence ? l->factors[q->evidence[e + t] * n + i] : 0.0;
        for (int64_t i = 0; i < n; i++) {
            double times[TOGETHER], *row = a + i * n;
            for (int t = 0; t < TOGETHER; t++) times[t] = (l->confidence - 1.0) * own[t][i];
            b[i] += l->confidence * ((own[0][i] + own[1][i]) + (own[2][i] + own[3][i]));
            for (int64_t j = 0; j <= i; j++)
                row[j] += (times[0] * own[0][j] + times[1] * own[1][j]) + (times[2] * own[2][j] + times[3] * own[3][j]);
        }
    }
    for (int64_t i = 0; i < n; i++) { /* row by row: a lower triangle L, L L^T = a; b on the way becomes L^-1 b */
        double *row = a + i * n;
        for (int64_t j = 0; j < i; j++) row[j] = (row[j] - inner(row, a + j * n, j)) * own[0][j];
        double most = row[i] - inner(row, row, i);
        own[0][i] = most > 0.0 ? 1.0 / sqrt(most) : 0.0; /* of the diagonal */
        b[i] = (b[i] - inner(row, b, i)) * own[0][i];
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        b[i] *= own[0][i];
        for (int64_t j = 0; j < i; j++) b[j] -= a[i * n + j] * b[i];
        folded[i] = (float)b[i];
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
INLINE void find_near(const Catalogue *c, const Request *q, Room *room) {
    const Learned *l = &c->learned;
    double fading = 1.0, all = 0.0;
    memset(room->near, 0, (size_t)c->n_videos * sizeof *room->near);
    for (int64_t e = 0; e < q->n_evidence; e++) all += fading, fading *= FADING;
    fading = 1.0 / all;
    for (int64_t e = 0; e < q->n_evidence; e++, fading *= FADING) {
        int64_t from = q->evidence[e] * l->n_near;
        for (int64_t k = from; k < from + l->n_near; k++) {
            Pair one = {fading, fading * l->closeness[k]};
            room->near[l->near[k]] += one;
        }
    }
}

/* Log-odds that the viewer likes each video, into `room->likely`; of a viewer with events but for what suits the taste. */
INLINE void blend(const Catalogue *c, const Request *q, Room *room) {
    const Learned *l = &c->learned;
    if (!q->n_evidence) { /* what is popular, and what suits the profile */
        arrange(c, q, room);
        for (int64_t row = 0; row < c->n_videos; row++)
            room->likely[row] = l->cold[row] + l->profile[0] * similarity(c->videos + row, q, room)
                                + l->profile[1] * match(c->videos + row, room);
        clear(c, q, room);
        return;
    }
    float folded[MOST_FACTORS] __attribute__((aligned(32)));
    double known = (double)q->n_evidence / ((double)q->n_evidence + SHRINK), als = l->als * known;
    fold_in(l, q, folded);
    find_near(c, q, room);
    for (int64_t first = 0; first < c->n_videos; first += 4) { /* by fours; the last may be fewer */
        Four close = {0.0, 0.0, 0.0, 0.0}, rest = close;
        int64_t n = c->n_videos - first < 4 ? c->n_videos - first : 4;
        for (int64_t k = 0; k < n; k++) {
            int64_t row = first + k;
            double value = l->apart[row] * (1.0 - room->near[row][0]) + room->near[row][1];
            close[k] = value > 0.0 ? known * value : 0.0;
            rest[k] = l->warm[row] + als * dot(l->factors + row * l->n_factors, folded, l->n_factors);
        }
        close += LEAST_CLOSE;
        logarithms(&close);
        rest += l->co_view * close;
        for (int64_t k = 0; k < n; k++) room->likely[first + k] = rest[k];
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
    double likely = room->likely[row];
    if (q->n_evidence) likely += l->taste[0] * z[SIMILARITY] + l->taste[1] * z[MATCH];
    x[LIKELY] = squashed(likely);
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

/* Whether a video may be among a pool's best. Asked before what pool it is of: that is memory which is not at hand. */
INLINE int may_enter(const Learned *l, const Room *room, int pool, double likely) {
    return room->n_retrieved[pool] < l->most[pool] || (l->most[pool] > 0 && likely >= room->retrieved[pool][0].score);
}

/* Those of each learning pool that are scored, the best by the blend in any order. Wants `room->unseen`; leaves `room->likely`. */
EXPORT QUICK void talentfeed_retrieve(const Catalogue *c, const Request *q, Room *room) {
    const Learned *l = &c->learned;
    blend(c, q, room);
    for (int pool = 0; pool < N_LEARNING; pool++) room->n_retrieved[pool] = 0;
    for (int64_t w = 0; w < c->words; w++)
        for (uint64_t left = room->unseen[VIDEO][w]; left; left &= left - 1) {
            int64_t row = w * 64 + __builtin_ctzll(left);
            Scored one = {room->likely[row], (int32_t)row, 0};
            offer(room->retrieved[AFFINITY], &room->n_retrieved[AFFINITY], l->most[AFFINITY], one);
            if (may_enter(l, room, POPULAR, one.score) && l->fixed[row * N_SCALED + GATE] > 0.0)
                offer(room->retrieved[POPULAR], &room->n_retrieved[POPULAR], l->most[POPULAR], one);
            if (may_enter(l, room, FRESH, one.score) && is_new(c, row, q->now))
                offer(room->retrieved[FRESH], &room->n_retrieved[FRESH], l->most[FRESH], one);
        }
}

/* Each learning pool's shortlist, best first. Wants `room->unseen`. */
EXPORT QUICK void talentfeed_learned_shortlists(const Catalogue *c, const Request *q, Room *room) {
    talentfeed_retrieve(c, q, room);
    uint64_t noise = key_of(q->seed, STREAM_FEATURE);
    arrange(c, q, room);
    Pair *known = room->near; /* score, and whether it is known: the pools share the bandit */
    for (int pool = 0; pool < N_LEARNING; pool++)
        for (int64_t i = 0; i < room->n_retrieved[pool]; i++) known[room->retrieved[pool][i].row][1] = 0.0;
    for (int pool = 0; pool < N_LEARNING; pool++) {
        int64_t n = 0;
        for (int64_t i = 0; i < room->n_retrieved[pool]; i++) {
            int32_t row = room->retrieved[pool][i].row;
            if (known[row][1] == 0.0) {
                double x[N_SCALED] __attribute__((aligned(32)));
                features_of(c, q, room, row, noise, x);
                known[row] = (Pair){ucb(&c->learned, x), 1.0};
                room->looked++;
            }
            offer(room->listed[pool], &n, c->boards[pool].size, (Scored){known[row][0], row, 0});
        }
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
