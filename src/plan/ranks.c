/* Who computes what: grains dealt out over a mesh of ranks. A function of the grain table and the mesh alone, so every rank knows of
   every other. Runs of samples and of rows lie together, so that few sums and few rows have to travel. */
#include "base/text.h"
#include "plan/plan.h"
#include <string.h>

int32_t fari_mesh_ranks(const fari_mesh *mesh)
{
    return (mesh->data > 0 ? mesh->data : 1) * (mesh->spatial > 0 ? mesh->spatial : 1);
}

/* One "axis=count" of a layout. */
static far_status parse_axis(const char *text, size_t length, fari_mesh *mesh)
{
    static const char *const planned[] = { "tensor", "pipeline" };
    char word[64];
    int64_t count = 0;
    if (length >= sizeof word) length = sizeof word - 1;
    memcpy(word, text, length);
    word[length] = '\0';
    char *value = strchr(word, '=');
    if (value != NULL) *value++ = '\0';
    int32_t *axis = strcmp(word, "data") == 0 ? &mesh->data : strcmp(word, "spatial") == 0 ? &mesh->spatial : NULL;
    for (size_t i = 0; i < FAR_COUNT(planned); i++)
        if (strcmp(word, planned[i]) == 0)
            return FAR_FAIL(FAR_E_CONFIG, "layout: the axis %s is planned, but not there; axes are data and spatial",
                            word);
    if (axis == NULL) return FAR_FAIL(FAR_E_CONFIG, "layout: no axis \"%s\"; axes are data and spatial", word);
    if (value == NULL || !fari_parse_i64(value, &count) || count < 1 || count > FARI_RANKS_MAX)
        return FAR_FAIL(FAR_E_CONFIG, "layout: %s needs a number from 1 to %d, as %s=2", word, FARI_RANKS_MAX, word);
    if (*axis != 0) return FAR_FAIL(FAR_E_CONFIG, "layout: %s is given twice", word);
    *axis = (int32_t)count;
    return FAR_OK;
}

far_status fari_mesh_parse(const char *layout, int32_t ranks, fari_mesh *mesh_out)
{
    fari_mesh mesh = { 0 };
    if (ranks < 0 || ranks > FARI_RANKS_MAX)
        return FAR_FAIL(FAR_E_CONFIG, "%d ranks: from 1 to %d", (int)ranks, FARI_RANKS_MAX);
    if (layout == NULL) mesh.data = ranks;
    for (const char *at = layout; at != NULL;) {
        const size_t length = strcspn(at, ",");
        FAR_TRY(parse_axis(at, length, &mesh));
        at = at[length] == ',' ? at + length + 1 : NULL;
    }
    if (mesh.data == 0) mesh.data = 1;
    if (mesh.spatial == 0) mesh.spatial = 1;
    if ((int64_t)mesh.data * mesh.spatial > FARI_RANKS_MAX)
        return FAR_FAIL(FAR_E_CONFIG, "layout: data=%d, spatial=%d are more than %d ranks", (int)mesh.data,
                        (int)mesh.spatial, FARI_RANKS_MAX);
    if (ranks > 0 && fari_mesh_ranks(&mesh) != ranks)
        return FAR_FAIL(FAR_E_CONFIG, "layout: data=%d times spatial=%d are %d ranks, not %d", (int)mesh.data,
                        (int)mesh.spatial, (int)fari_mesh_ranks(&mesh), (int)ranks);
    *mesh_out = mesh;
    return FAR_OK;
}

far_status fari_mesh_check(const fari_mesh *mesh, int32_t rank)
{
    if (mesh->data < 0 || mesh->spatial < 0 || mesh->data > FARI_RANKS_MAX || mesh->spatial > FARI_RANKS_MAX ||
        (int64_t)mesh->data * mesh->spatial > FARI_RANKS_MAX)
        return FAR_FAIL(FAR_E_ARG, "a layout of data=%d, spatial=%d is none: from 1 to %d ranks in all",
                        (int)mesh->data, (int)mesh->spatial, FARI_RANKS_MAX);
    if (rank < 0 || rank >= fari_mesh_ranks(mesh))
        return FAR_FAIL(FAR_E_ARG, "no rank %d in a layout of %d", (int)rank, (int)fari_mesh_ranks(mesh));
    return FAR_OK;
}

/* Which of `shares` runs item i of `count` falls into; run k holds the items from floor(k count / shares) on. With more runs than
   items some are empty. */
static int64_t share_of(int64_t i, int64_t count, int64_t shares)
{
    return ((i + 1) * shares - 1) / count;
}

static int64_t share_begin(int64_t share, int64_t count, int64_t shares)
{
    return share * count / shares;
}

int32_t fari_rank_of_grain(const fari_plan *plan, far_value tensor, int64_t index_piece, int64_t row_piece)
{
    const fari_grains *g = &plan->grains[tensor];
    const fari_tensor *t = fari_tensor_of(plan->graph, tensor);
    const int64_t data = plan->opts.mesh.data, spatial = plan->opts.mesh.spatial;
    const int64_t first_sample = index_piece * g->index_step * (t->batch_of > 0 ? t->batch_of : 1);
    const int64_t grains = (plan->batch + plan->grain_samples - 1) / plan->grain_samples;
    const int64_t grain = first_sample / plan->grain_samples;
    const int64_t d = share_of(grain, grains, data);
    int64_t s;
    if (g->row_count > 1) {
        s = share_of(row_piece, g->row_count, spatial);
    } else { /* a level that is not cut is gathered: each sample on one rank of its column, samples spread over them */
        const int64_t begin = share_begin(d, grains, data), end = share_begin(d + 1, grains, data);
        s = (2 * (grain - begin) + 1) * spatial / (2 * (end - begin));
    }
    return (int32_t)(d * spatial + s);
}
