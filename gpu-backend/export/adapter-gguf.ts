/**
 * An expert's LoRA as llama.cpp reads it with `--lora` (src/llama-adapter.cpp): for each module
 * `<name>.lora_a` [r, in] and `<name>.lora_b` [out, r], and one `adapter.lora.alpha` for all of
 * them. It scales each by `alpha / r`.
 */
import { ggufName } from '#gpu-backend/gguf/as-hugging-face.ts';
import { permuteRows } from '#gpu-backend/gguf/permute-rows.ts';
import type { WrittenTensor } from '#gpu-backend/gguf/write-gguf.ts';
import { float32, text, type WrittenMetadata, type WrittenValue } from '#gpu-backend/gguf/written-value.ts';
import { type Expert, type ExpertModule, moduleRank } from '#gpu-backend/model/adapter.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { tensorBytes } from '#gpu-backend/model/write-safetensors.ts';
import { permutedHeads } from './base-tensors.ts';
import { ggufArchitecture } from './decoder-metadata.ts';

/** @param expert one that has an adapter */
export function adapterGguf(
  { name, modules }: Pick<Expert, 'name' | 'modules'>,
  config: DecoderConfig,
): { metadata: WrittenMetadata; tensors: WrittenTensor[] } {
  const alpha = commonAlpha([...modules.values()]);
  const metadata = new Map<string, WrittenValue>([
    ['general.type', text('adapter')],
    ['general.architecture', text(ggufArchitecture(config))],
    ['general.name', text(name)],
    ['adapter.type', text('lora')],
    ['adapter.lora.alpha', float32(alpha)],
  ]);
  const tensors = [...modules].flatMap(([module, own]): WrittenTensor[] => {
    const weight = `${module}.weight`;
    const heads = permutedHeads(weight, config);
    const { shape } = own.b;
    const scaled = scaledB(own, alpha);
    const b = heads === undefined ? scaled : permuteRows(scaled, { rows: shape[0]!, heads });
    return [
      plain(`${ggufName(weight)}.lora_a`, own.a.shape, own.a.data),
      plain(`${ggufName(weight)}.lora_b`, shape, b),
    ];
  });
  return { metadata, tensors };
}

/** Not `lora_alpha` itself, for `use_rslora`: `alpha / r` has to be the module's scale. */
const alphaOf = (module: ExpertModule) => Math.fround(module.scale * moduleRank(module));

/** The alpha of the first module. The others' B makes up for what theirs would be. */
const commonAlpha = ([first]: readonly ExpertModule[]) => alphaOf(first!);

function scaledB(module: ExpertModule, alpha: number): Float32Array {
  const own = alphaOf(module);
  return own === alpha ? module.b.data : module.b.data.map((value) => value * (own / alpha));
}

function plain(name: string, shape: readonly number[], data: Float32Array): WrittenTensor {
  return { name, dtype: 'F32', shape, bytes: async () => tensorBytes(name, { shape, data }, 'f32', name) };
}
