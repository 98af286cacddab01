/** Which files of a repository make a checkpoint or an adapter. */
import * as z from 'zod';
import type { RemoteFile } from '../download/download-file.ts';

const CONFIG = 'config.json';
const WEIGHTS = 'model.safetensors';
export const WEIGHTS_INDEX = `${WEIGHTS}.index.json`;
export const ADAPTER_CONFIG = 'adapter_config.json';
const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** What lies beside the weights, where the repository has it. */
const BESIDE = [
  /^generation_config\.json$/,
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$/,
  /^merges\.txt$/,
  /^tokenizer\.model$/,
  /^chat_template\.(jinja|json)$/,
  /^additional_chat_templates\/[^/]+\.jinja$/,
  /^(LICENSE|LICENCE|NOTICE|USE_POLICY)(\.(md|txt))?$/i,
];

const WeightsIndex = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * Everything but the shards: their names are in the index, which must come first. Throws if the
 * repository has neither a checkpoint nor an adapter in safetensors. `repo` names it in errors.
 */
export function modelFiles(all: readonly RemoteFile[], repo: string): RemoteFile[] {
  const has = (path: string) => all.some((file) => file.path === path);
  const wanted = has(CONFIG) && !has(ADAPTER_CONFIG) ? checkpoint(has) : adapter(has);
  if (wanted === null) {
    const some =
      all
        .slice(0, 20)
        .map((file) => file.path)
        .join(', ') || 'no files';
    throw new Error(
      `${repo}: found ${some}, wanted ${CONFIG} with ${WEIGHTS} or ${WEIGHTS_INDEX}, or ${ADAPTER_CONFIG} with ${ADAPTER_WEIGHTS}`,
    );
  }
  return all.filter(({ path }) => wanted.includes(path) || BESIDE.some((pattern) => pattern.test(path)));
}

function checkpoint(has: (path: string) => boolean): string[] | null {
  if (has(WEIGHTS_INDEX)) return [CONFIG, WEIGHTS_INDEX];
  return has(WEIGHTS) ? [CONFIG, WEIGHTS] : null;
}

function adapter(has: (path: string) => boolean): string[] | null {
  return has(ADAPTER_CONFIG) && has(ADAPTER_WEIGHTS) ? [ADAPTER_CONFIG, ADAPTER_WEIGHTS] : null;
}

/** The shards that the index names. Throws if it names one that the repository does not have. */
export function shardFiles(index: string, all: readonly RemoteFile[], repo: string): RemoteFile[] {
  let parsed: z.infer<typeof WeightsIndex>;
  try {
    parsed = WeightsIndex.parse(JSON.parse(index));
  } catch (cause) {
    const fault = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll('\n', ' ') : String(cause);
    throw new Error(`${repo}: ${WEIGHTS_INDEX}: ${fault}`, { cause });
  }
  return [...new Set(Object.values(parsed.weight_map))].map((shard) => {
    const file = all.find(({ path }) => path === shard);
    if (file === undefined) throw new Error(`${repo}: ${WEIGHTS_INDEX} names ${shard}, and there is no such file`);
    return file;
  });
}
