/**
 * The frequencies of rotary positions (Su et al., arXiv 2104.09864), plain or scaled for a context
 * longer than the one the model was trained on.
 *
 * - `linear` divides every frequency, as if positions lay closer together.
 * - `llama3` (Llama 3.1 and later) divides only slow frequencies, those whose wave is longer than
 *   the old context divided by `low_freq_factor`. It keeps the fast ones, and blends in between.
 */
export type RopeScaling =
  | { rope_type: 'linear'; factor: number }
  | {
      rope_type: 'llama3';
      factor: number;
      low_freq_factor: number;
      high_freq_factor: number;
      original_max_position_embeddings: number;
    };

export type Rope = { rope_theta: number; rope_scaling?: RopeScaling | undefined };

/** Radians per position of each pair of dimensions, fastest first: `[hd / 2]`. */
export function ropeFrequencies({ rope_theta: theta, rope_scaling: scaling }: Rope, headDim: number): Float64Array {
  const half = headDim / 2;
  const plain = Float64Array.from({ length: half }, (_, i) => theta ** (-i / half));
  switch (scaling?.rope_type) {
    case undefined:
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'llama3': {
      const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: old } = scaling;
      return plain.map((frequency) => {
        // How many times this wave turns within the old context.
        const turns = (old * frequency) / (2 * Math.PI);
        const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
        return kept * frequency + (1 - kept) * (frequency / factor);
      });
    }
  }
}
