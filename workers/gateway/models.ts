/**
 * `GET /v1/models` and `GET /v1/models/:id`: what the pool serves. It includes dead backends for as
 * long as they are remembered.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Model, ModelList } from '#shared/api/models.ts';
import { MODES } from '#shared/line/line.ts';
import type { AppContext, CallerEnv } from '../request/context.ts';
import type { BackendPool } from './backend-pool.ts';

export function listModels(pool: BackendPool) {
  return async (c: AppContext<CallerEnv>): Promise<Response> => {
    return c.json({ object: 'list', data: await readModels(pool, c) } satisfies ModelList);
  };
}

export function retrieveModel(pool: BackendPool) {
  return async (c: AppContext<CallerEnv>): Promise<Response> => {
    const id = c.req.param('id') ?? '';
    const model = (await readModels(pool, c)).find((each) => each.id === id);
    if (model === undefined) {
      throw new PlimsollError('model_not_found', `The model '${id}' does not exist`, { param: 'model' });
    }
    return c.json(model);
  };
}

async function readModels(pool: BackendPool, c: AppContext<CallerEnv>): Promise<Model[]> {
  const members = await pool.members(c.var.config.backends, (promise) => c.executionCtx.waitUntil(promise));
  const models = new Map<string, Model>();
  for (const { model, contextLength, created, modes } of members) {
    if (model === null) continue;
    const before = models.get(model);
    const offered = before?.plimsoll.modes ?? [];
    models.set(model, {
      id: model,
      object: 'model',
      // Copies of one bundle may have different dates. The oldest is nearest to the truth.
      created: oldest(before?.created ?? 0, created ?? 0),
      owned_by: 'plimsoll',
      plimsoll: {
        context_length: contextLength,
        modes: MODES.filter((mode) => modes.includes(mode) || offered.includes(mode)),
      },
    });
  }
  return [...models.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** 0 means that there is no date. */
const oldest = (a: number, b: number) => (a === 0 || b === 0 ? Math.max(a, b) : Math.min(a, b));
