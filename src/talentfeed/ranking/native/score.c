/* Stages 3 to 5: the columns that move, the score of a video in a pool, and the search for each pool's best. SPEC 6.
 *
 * With x = s + z (s the fixed columns, z the moving ones) theta^T x = theta^T s + theta^T z and
 * x^T M x = s^T M s + z^T (2 M s + M z), M = A^-1: what s gives is kept; `mean_of` and
 * `width_of` alone add z.
 */
#include "columns.h"
#include "heap.h"

static const double MARGIN = 1e-9; /* far above what rounding can do to a bound */

/* ---------------------------------------------------------------- what the rest reads by */

static int all_within(const int32_t *codes, int64_t n, int64_t low, int64_t high) {
    int out = 0;
    for (int64_t i = 0; i < n; i++) out |= codes[i] < low || codes[i] >= high;
    return !out;
}

/* Which list of a request, counted from 1, names what the catalogue cannot have; 0: none. Later stages read by them
 * without another look. Tokens, cities and creators above the tables are no fault: no video has them. */
EXPORT int64_t talentfeed_misfit(const Catalogue *c, const Request *q) {
    int64_t at = 0;
    for (int64_t i = 0; i < q->n_skills; i++) { /* both ascend; a skill that is no token would score above its bound */
        while (at < q->n_tokens && q->tokens[at] != q->skills[i]) at++;
        if (at == q->n_tokens || q->skills[i] < 1 || q->skills[i] > c->n_skills) return 1;
    }
    if (!all_within(q->tokens, q->n_tokens, 0, INT64_MAX)) return 2;
    if (!all_within(q->cities, q->n_cities, 0, INT64_MAX)) return 3;
    if (!all_within(q->connections, q->n_connections, 0, INT64_MAX)) return 4;
    if (!all_within(q->seen[VIDEO], q->n_seen[VIDEO], 0, c->n_videos)) return 5;
    if (!all_within(q->seen[FLOWS], q->n_seen[FLOWS], 0, c->n_flows)) return 6;
    if (!all_within(q->shown_flows, q->n_shown, 0, c->n_flows)) return 7;
    if (!all_within(q->evidence, q->n_evidence, 0, c->n_videos)) return 8;
    return 0;
}

/* All of a score but what the width gives. */
INLINE double mean_of(const Board *b, const Fixed *f, const Video *v, const Request *q, double *z, uint64_t noise) {
    const Four *linear = (const Four *)b->linear;
    Four low = {z[0], z[1], z[2], z[3]}, high = {z[4], z[5], z[6], z[7]};
    double value = f->base + sum_of(linear[0] * low + linear[1] * high);
    if (q->now - v->dated < NEW_SECONDS) value += b->fresh;
    value += b->recency * recency_of(v, q);
    if (b->noise != 0.0) value += b->noise * uniform(noise, v->counter);
    return value;
}

INLINE double width_of(const Board *b, const Fixed *f, double *z) {
    const Four *matrix = (const Four *)b->matrix, *cross = (const Four *)f->cross;
    Four low = cross[0], high = cross[1], first = {z[0], z[1], z[2], z[3]}, last = {z[4], z[5], z[6], z[7]};
    for (int k = 0; k < N_MOVING; k++) low += matrix[2 * k] * z[k], high += matrix[2 * k + 1] * z[k];
    double width = f->width + sum_of(low * first + high * last);
    if (width < 0.0) width = 0.0;
    return b->beta_variance * width + b->alpha * sqrt(width);
}

/* ---------------------------------------------------------------- the best of a pool */

/* A request's view of a pool while its best are looked for. */
typedef struct {
    const Catalogue *c;
    const Board *b;
    const Request *q;
    Room *room;
    uint64_t feature, fresh;           /* keys of the noise */
    double bar;                        /* the last place's score, less a margin; minus infinity while there is room */
    double ceilings[N_SHARES];         /* what the viewer's columns add at most, by number of shared tokens */
    Scored *heap;
    int64_t n;
} Search;

/* How a video is looked at: every one is scored; or those that no connection made, if they can enter. */
enum { EVERY, OTHERS };

INLINE void look(Search *s, int64_t place, int which) {
    const Glance *g = s->b->glances + place;
    const Video *v = s->c->videos + g->row;
    if (s->b->only_new && !(s->q->now - v->dated < NEW_SECONDS)) return;
    if (which == OTHERS && s->room->connections[v->creator]) return;
    double z[LANES] __attribute__((aligned(32)));
    of_viewer(v, s->q, s->room, z);
    of_moment(s->c, v, s->q, s->feature, z);
    const Fixed *f = s->b->fixed + place;
    double value = mean_of(s->b, f, v, s->q, z, s->fresh);
    if (which == OTHERS && value + (g->rest - f->base) < s->bar) return;
    value += width_of(s->b, f, z);
    s->room->looked++;
    offer(s->heap, &s->n, s->b->size, (Scored){value, g->row, 0});
    if (s->n == s->b->size) s->bar = s->heap[0].score - MARGIN * (1.0 + fabs(s->heap[0].score) + fabs(s->ceilings[7]));
}

/* The videos of the viewer's connections: few, and the bounds are not of them. */
static void look_at_connections(Search *s) {
    const Postings *by = &s->c->by_creator;
    uint8_t *connections = s->room->connections;
    for (int64_t i = 0; i < s->q->n_connections; i++) {
        int32_t creator = s->q->connections[i];
        if (creator >= s->c->n_creators || connections[creator] != 1) continue;
        connections[creator] = 2; /* once, though listed twice */
        for (int64_t e = by->start[creator]; e < by->start[creator + 1]; e++) {
            int64_t place = s->b->places[by->entries[e]];
            if (place < s->b->members && has(s->room->unseen[VIDEO], by->entries[e])) look(s, place, EVERY);
        }
    }
    for (int64_t i = 0; i < s->q->n_connections; i++)
        if (s->q->connections[i] < s->c->n_creators) connections[s->q->connections[i]] = 1;
}

/* Whether a video may enter, by what is known without a look at it. */
INLINE int may_enter(const Search *s, const Glance *g, double ceiling) {
    static const double NEWEST_OLD = 0.2004; /* just under exp(-45 / 28) */
    const Board *b = s->b;
    double recency = g->decayed * s->q->decay, most = g->rest + ceiling;
    if (recency > 1.0) recency = 1.0;
    if (b->linear[RECENCY] > 0.0) most += BOOST * b->linear[RECENCY] * recency;
    if (b->recency > 0.0) most += b->recency * recency;
    if (b->fresh > 0.0 && recency > NEWEST_OLD) most += b->fresh;
    if (b->noise > 0.0) most += b->noise * uniform(s->fresh, g->counter);
    return most >= s->bar;
}

/* What the viewer's columns add to theta^T x at most: all but chance is known. */
INLINE double viewer_adds(const Search *s, int64_t row) {
    const double *linear = s->b->linear;
    double z[LANES] __attribute__((aligned(32)));
    of_viewer(s->c->videos + row, s->q, s->room, z);
    double sum = linear[NOISE] > 0.0 ? linear[NOISE] * s->c->feature_noise : 0.0;
    return sum + ((linear[SIMILARITY] * z[SIMILARITY] + linear[MATCH] * z[MATCH]) +
                  (linear[CITY] * z[CITY] + linear[INFLUENCE] * z[INFLUENCE]));
}

/* What the viewer's columns can add to theta^T s at most, for a video that shares so many tokens with the viewer. */
static void find_ceilings(Search *s) {
    static const int most_of[4][2] = {{15, N_SKILLS}, {12, 3}, {10, 3}, {8, 3}}; /* points, and how often a video can */
    const Request *q = s->q;
    const double *linear = s->b->linear;
    int held[4] = {0}, points = 0, kind = 0, used = 0;
    double weights[N_SKILLS] = {0.0}, all = 0.0, shared = 0.0;
    for (int64_t i = 0; i < q->n_tokens; i++)
        for (int k = 0; k < 4 && q->tokens[i] < s->c->n_tokens; k++) held[k] += s->room->points[q->tokens[i]] == most_of[k][0];
    for (int64_t i = 0; i < q->n_skills; i++) { /* the largest weights, descending */
        double weight = q->skill_weights[i];
        for (int k = 0; k < N_SKILLS; k++)
            if (weight > weights[k]) {
                double less = weights[k];
                weights[k] = weight, weight = less;
            }
    }
    all += linear[INFLUENCE] * q->influence;
    if (linear[CITY] > 0.0 && q->n_cities) all += linear[CITY];
    if (linear[NOISE] > 0.0) all += linear[NOISE] * s->c->feature_noise;
    for (int n = 0; n < N_SHARES; n++) {
        double like = q->has_skills ? COSINE_SHARE + WEIGHT_SHARE * shared + MARGIN : BLANK_VIEWER;
        double same = points >= 100 || n == N_SHARES - 1 ? 1.0 : points / 100.0;
        if (n == N_SHARES - 1 && q->has_skills) like = 1.0;
        s->ceilings[n] = all + (linear[SIMILARITY] > 0.0 ? linear[SIMILARITY] * (like < 1.0 ? like : 1.0) : 0.0) +
                         (linear[MATCH] > 0.0 ? linear[MATCH] * same : 0.0);
        if (n < N_SKILLS) shared += weights[n];
        while (kind < 4 && (used == most_of[kind][1] || used == held[kind])) kind++, used = 0;
        if (kind < 4) points += most_of[kind][0], used++;
    }
}

/* The first place whose bound and this ceiling stay below the bar. */
static int64_t reach_of(const Search *s, double ceiling) {
    int64_t low = 0, high = s->b->members;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (s->b->glances[middle].bound + ceiling >= s->bar) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Counts, once a request, how many tokens each video shares with the viewer. */
static void count_shares(const Catalogue *c, const Request *q, Room *room, int *counted) {
    if (*counted) return;
    for (int i = 0; i < 3; i++) memset(room->shares[i], 0, (size_t)c->words * sizeof *room->shares[i]);
    for (int64_t i = 0; i < q->n_tokens; i++)
        if (q->tokens[i] < c->n_tokens) add_token(c, q->tokens[i], room->shares);
    *counted = 1;
}

INLINE uint64_t sharing(const Room *room, int n, int64_t w) {
    uint64_t ones = room->shares[0][w], twos = room->shares[1][w], fours = room->shares[2][w];
    return (n & 1 ? ones : ~ones) & (n & 2 ? twos : ~twos) & (n & 4 ? fours : ~fours);
}

INLINE int shares_of(const Room *room, int64_t row) {
    return has(room->shares[0], row) + 2 * has(room->shares[1], row) + 4 * has(room->shares[2], row);
}

/* Has the memory bring what a look at this place will read. */
INLINE void fetch(const Search *s, int64_t place) {
    const char *video = (const char *)(s->c->videos + s->b->glances[place].row);
    __builtin_prefetch(video), __builtin_prefetch(video + 64);
}

/* The best of a pool. First what connections made, and those of the best bounds; then, from the most to the fewest
 * tokens shared with the viewer, the videos that share so many, or, where these are many, all that are left in the order
 * of the bound, down to where nobody can enter. */
INLINE void search(Search *s, int *counted) {
    enum { AHEAD = 12 };
    const Catalogue *c = s->c;
    const Board *b = s->b;
    Room *room = s->room;
    const uint64_t *unseen = room->unseen[VIDEO];
    int sound = s->q->prune && s->q->now >= c->since && s->q->influence <= c->most_influence;
    s->bar = -INFINITY;
    find_ceilings(s);
    int64_t place = 0, end = b->members;
    if (!sound) {
        for (; place < b->n; place++)
            if (has(unseen, b->glances[place].row)) look(s, place, EVERY);
        return;
    }
    look_at_connections(s);
    for (; place < end && !(place >= c->first && s->n == b->size); place++) {
        const Glance *g = b->glances + place;
        fetch(s, place + AHEAD < end ? place + AHEAD : place);
        if (g->bound + s->ceilings[N_SHARES - 1] < s->bar) break;
        if (has(unseen, g->row) && may_enter(s, g, s->ceilings[N_SHARES - 1])) look(s, place, OTHERS);
    }
    int64_t walked = place;
    for (int n = N_SHARES - 1; n >= 0 && (end = reach_of(s, s->ceilings[n])) > walked; n--) {
        if (end - walked > 8 * c->first) count_shares(c, s->q, room, counted);
        int64_t so_many = 0;
        if (*counted)
            for (int64_t w = 0; w < c->words; w++) so_many += __builtin_popcountll(sharing(room, n, w));
        if (*counted && 2 * so_many < end - walked) {
            for (int64_t w = 0; w < c->words; w++)
                for (uint64_t left = sharing(room, n, w) & unseen[w]; left; left &= left - 1) {
                    int64_t row = w * 64 + __builtin_ctzll(left);
                    if (b->bounds[row] + s->ceilings[n] < s->bar || b->bounds[row] + viewer_adds(s, row) < s->bar) continue;
                    int64_t at = b->places[row];
                    if (at >= walked && at < end) look(s, at, OTHERS);
                }
            continue;
        }
        for (place = walked; place < end; place++) {
            const Glance *g = b->glances + place;
            if (g->bound + s->ceilings[n] < s->bar) break;
            fetch(s, place + AHEAD < end ? place + AHEAD : place);
            if (!may_enter(s, g, s->ceilings[n]) || !has(unseen, g->row)) continue;
            if (*counted) {
                int shares = shares_of(room, g->row);
                if (shares > n || (shares < n && !may_enter(s, g, s->ceilings[shares]))) continue;
            }
            look(s, place, OTHERS);
        }
        return;
    }
}

/* Each learning pool's shortlist, best first. Wants `room->unseen`. */
EXPORT QUICK void talentfeed_shortlists(const Catalogue *c, const Request *q, Room *room) {
    arrange(c, q, room);
    int counted = 0;
    for (int pool = 0; pool < N_LEARNING; pool++) {
        Search s = {.c = c, .b = &c->boards[pool], .q = q, .room = room, .heap = room->listed[pool],
                    .feature = key_of(q->seed, STREAM_FEATURE), .fresh = key_of(q->seed, STREAM_FRESH)};
        search(&s, &counted);
        best_first(s.heap, s.n);
        room->n_listed[pool] = s.n;
    }
    clear(c, q, room);
}

/* The score of every video that may ever be a candidate of a pool, by row: what explains a feed. */
EXPORT QUICK void talentfeed_scores(const Catalogue *c, const Request *q, Room *room, int64_t pool, double *scores) {
    const Board *b = &c->boards[pool];
    uint64_t feature = key_of(q->seed, STREAM_FEATURE), fresh = key_of(q->seed, STREAM_FRESH);
    arrange(c, q, room);
    for (int64_t i = 0; i < c->n_videos; i++) {
        int32_t row = b->glances[i].row;
        const Video *v = c->videos + row;
        double z[LANES] __attribute__((aligned(32)));
        of_viewer(v, q, room, z);
        of_moment(c, v, q, feature, z);
        scores[row] = mean_of(b, b->fixed + i, v, q, z, fresh) + width_of(b, b->fixed + i, z);
    }
    clear(c, q, room);
}

/* The moving columns of some videos, (n, N_MOVING). */
EXPORT void talentfeed_moving(const Catalogue *c, const Request *q, Room *room, const int64_t *rows, int64_t n,
                              double *columns) {
    uint64_t feature = key_of(q->seed, STREAM_FEATURE);
    arrange(c, q, room);
    for (int64_t i = 0; i < n; i++) {
        const Video *v = c->videos + rows[i];
        double z[LANES] __attribute__((aligned(32)));
        of_viewer(v, q, room, z);
        of_moment(c, v, q, feature, z);
        memcpy(columns + i * N_MOVING, z, N_MOVING * sizeof *z);
    }
    clear(c, q, room);
}

/* ---------------------------------------------------------------- flows */

INLINE double flow_score(const Catalogue *c, const Request *q, uint64_t key, int64_t row) {
    double recency = c->flows[row].decayed * q->decay;
    return c->flow_noise * uniform(key, c->flows[row].counter) + c->flow_recency * (recency > 1.0 ? 1.0 : recency);
}

EXPORT void talentfeed_flow_scores(const Catalogue *c, const Request *q, double *scores) {
    uint64_t key = key_of(q->seed, STREAM_FLOW);
    for (int64_t row = 0; row < c->n_flows; row++) scores[row] = flow_score(c, q, key, row);
}

static void tell_apart(const Catalogue *c, const Request *q, Room *room, int on) {
    for (int64_t i = 0; i < q->n_connections; i++)
        if (q->connections[i] < c->n_creators) room->connections[q->connections[i]] = (uint8_t)on;
    for (int64_t i = 0; i < q->n_shown; i++) on ? put(room->shown, q->shown_flows[i]) : drop(room->shown, q->shown_flows[i]);
}

/* The flows' shortlist: the best, or, where only flows are asked for, all: connections' first, those shown before last.
 * Wants `room->unseen`. */
void flow_shortlist(const Catalogue *c, const Request *q, Room *room) {
    uint64_t key = key_of(q->seed, STREAM_FLOW);
    int64_t size = q->only_flows ? c->n_flows : c->flow_size, n = 0;
    Scored *heap = room->listed[FLOW];
    if (q->only_flows) tell_apart(c, q, room, 1);
    for (int64_t row = 0; row < c->n_flows; row++) {
        if (!has(room->unseen[FLOWS], row)) continue;
        int32_t tier = 0;
        if (q->only_flows) tier = 2 * has(room->shown, row) + !room->connections[c->flows[row].creator];
        offer(heap, &n, size, (Scored){flow_score(c, q, key, row), (int32_t)row, tier});
    }
    if (q->only_flows) tell_apart(c, q, room, 0);
    best_first(heap, n);
    room->n_listed[FLOW] = n;
}
