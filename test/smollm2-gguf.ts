/**
 * A real model for heavy tests: SmolLM2-135M-Instruct as GGUF, 98 MB, Apache-2.0. It is pulled
 * once, as `plimsoll model pull` does it, and kept in `.plimsoll/test-models`.
 */
import path from 'node:path';
import { Hub, PUBLIC_HUB } from '#gpu-backend/download/hub.ts';
import { patient } from '#gpu-backend/download/retry.ts';
import { cacheFolder } from '#gpu-backend/model/cache-folder.ts';
import { WrongBytes } from '#gpu-backend/model/checksum.ts';
import { PullError, pullKnownModel } from '#gpu-backend/pull/pull-known-model.ts';

const NAME = 'smollm2-135m-instruct';
const CACHE = path.join(import.meta.dirname, '../.plimsoll/test-models');

/** The path of the file, or why this machine cannot get it. A file with other bytes is an error. */
export async function smolLm2Gguf(): Promise<{ file: string } | { missing: string }> {
  const retrying = patient();
  const hub = new Hub({ ...retrying, endpoint: PUBLIC_HUB, token: null, kind: 'model', fetch });
  const onFile = () => ({ onBytes: () => {}, done: () => {} });
  const cache = cacheFolder({ PLIMSOLL_CACHE: CACHE });
  try {
    const { file } = await pullKnownModel(NAME, { cache, hub, retrying, sending: { fetch }, onFile });
    return { file };
  } catch (error) {
    if (!(error instanceof PullError) || error.causes.some((cause) => cause instanceof WrongBytes)) throw error;
    return { missing: error.message };
  }
}
