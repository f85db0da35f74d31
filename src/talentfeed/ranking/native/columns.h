/* Stage 3: the viewer, arranged for looking videos up, and the columns that move. SPEC 6. */
#ifndef TALENTFEED_COLUMNS_H
#define TALENTFEED_COLUMNS_H

#include "kernel.h"

#define BLANK_VIEWER 0.5
#define BLANK_VIDEO 0.3
#define COSINE_SHARE 0.6
#define WEIGHT_SHARE 0.4
#define BOOST 1.5

static void arrange(const Catalogue *c, const Request *q, Room *room) {
    int64_t k = c->n_skills;
    if (q->has_skills) {
        Pair *toward = room->toward;
        double length = 0.0;
        memset(toward, 0, (size_t)(k + 1) * sizeof *toward);
        for (int64_t i = 0; i < q->n_skills; i++) {
            const double *with = c->skills + (q->skills[i] - 1) * k, weight = q->skill_weights[i];
            for (int64_t s = 0; s < k; s++) toward[s + 1][0] += weight * with[s];
        }
        for (int64_t i = 0; i < q->n_skills; i++) length += toward[q->skills[i]][0] * q->skill_weights[i];
        double scale = length > 0.0 ? COSINE_SHARE / sqrt(length) : 0.0;
        for (int64_t s = 1; s <= k; s++) toward[s][0] *= scale;
        for (int64_t i = 0; i < q->n_skills; i++) toward[q->skills[i]][1] = q->skill_weights[i] * WEIGHT_SHARE;
    }
    for (int64_t i = 0; i < q->n_tokens; i++)
        if (q->tokens[i] < c->n_tokens) room->points[q->tokens[i]] = c->points[q->tokens[i]];
    for (int64_t i = 0; i < q->n_cities; i++)
        if (q->cities[i] < c->n_cities) room->cities[q->cities[i]] = 1;
    for (int64_t i = 0; i < q->n_connections; i++)
        if (q->connections[i] < c->n_creators) room->connections[q->connections[i]] = 1;
}

static void clear(const Catalogue *c, const Request *q, Room *room) {
    for (int64_t i = 0; i < q->n_tokens; i++)
        if (q->tokens[i] < c->n_tokens) room->points[q->tokens[i]] = 0;
    for (int64_t i = 0; i < q->n_cities; i++)
        if (q->cities[i] < c->n_cities) room->cities[q->cities[i]] = 0;
    for (int64_t i = 0; i < q->n_connections; i++)
        if (q->connections[i] < c->n_creators) room->connections[q->connections[i]] = 0;
}

/* ---------------------------------------------------------------- one video */

/* Column 5: clip(0.6 cosine + 0.4 sum of the viewer's weights of the video's skills, 0, 1). */
INLINE double similarity(const Video *v, const Request *q, const Room *room) {
    if (!q->has_skills) return BLANK_VIEWER;
    if (!v->tokens[0]) return BLANK_VIDEO;
    Pair both = {0.0, 0.0};
    for (int i = 0; i < N_SKILLS; i++) both += room->toward[v->tokens[i]];
    double value = both[0] * v->inverse_norm + both[1];
    return value < 0.0 ? 0.0 : value > 1.0 ? 1.0 : value;
}

/* Column 6: points of what viewer and video share, at most 1. */
INLINE double match(const Video *v, const Room *room) {
    int points = 0;
    for (int i = 0; i < N_TOKENS; i++) points += room->points[v->tokens[i]];
    return points >= 100 ? 1.0 : points / 100.0;
}

/* The columns that the clock and chance do not move. */
INLINE void of_viewer(const Video *v, const Request *q, const Room *room, double z[LANES]) {
    z[SIMILARITY] = similarity(v, q, room);
    z[MATCH] = match(v, room);
    z[CITY] = room->cities[v->city];
    z[CONNECTION] = room->connections[v->creator] != 0;
    z[INFLUENCE] = q->influence;
    z[LANES - 1] = 0.0;
}

INLINE double recency_of(const Video *v, const Request *q) {
    double recency = v->decayed * q->decay;
    return recency > 1.0 ? 1.0 : recency;
}

/* The rest; z is then whole. */
INLINE void of_moment(const Catalogue *c, const Video *v, const Request *q, uint64_t noise, double z[LANES]) {
    double recency = recency_of(v, q);
    z[RECENCY] = q->now - v->dated <= BOOST_SECONDS ? recency * BOOST : recency;
    z[NOISE] = c->feature_noise * uniform(noise, v->counter);
}

INLINE double sum_of(Four v) { return (v[0] + v[2]) + (v[1] + v[3]); }

#endif
