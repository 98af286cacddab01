/**
 * Notices pairs that were judged for harmlessness and are used for helpfulness, or the other way.
 * Some layouts hold one preference and do not say which, so every file fits every expert.
 */
import { declines } from './declines.ts';
import type { Dimension } from './preferences.ts';
import type { Preference } from './rows.ts';

/** Shares of the chosen answers that refuse, from which on refusals seem to be what was wanted. */
const MANY = 0.15;
const TIMES_REJECTED = 2;

/**
 * A sentence that warns, or null. `judged` is what the file's rows say of their preference. The
 * name of the file and its sources count, and whether refusals are preferred. An expert of
 * helpfulness that learns from such pairs learns to refuse.
 */
export function judgedOtherwise(
  pairs: readonly Preference[],
  { dimension, file, judged }: { dimension: Dimension; file: string; judged: readonly string[] },
): string | null {
  const told = [...new Set([...judged, file, ...pairs.map(({ source }) => source)])].join(' ');
  const [harmless, helpful] = [/harmless/i.test(told), /helpful/i.test(told)];
  if (dimension === 'safer') {
    return helpful && !harmless ? warning(file, 'helpfulness', 'safety', 'by its name or its rows') : null;
  }
  if (harmless && !helpful) return warning(file, 'harmlessness', 'helpfulness', 'by its name or its rows');
  const share = (side: 0 | 1) => {
    const counted = pairs.filter(({ better }) => better !== null);
    const refusing = counted.filter(({ better, responses }) =>
      declines(responses[side === 0 ? better! : 1 - better!]!),
    );
    return refusing.length / Math.max(1, counted.length);
  };
  const [chosen, rejected] = [share(0), share(1)];
  if (chosen < MANY || chosen < TIMES_REJECTED * rejected) return null;
  const percent = (value: number) => `${Math.round(100 * value)} %`;
  return warning(
    file,
    'harmlessness',
    'helpfulness',
    `${percent(chosen)} of the chosen answers begin like a refusal, of the rejected ones ${percent(rejected)}`,
  );
}

function warning(file: string, found: string, wanted: string, why: string): string {
  return `${file}: warning: these pairs seem to be judged for ${found} (${why}), and here they count for ${wanted}`;
}
