/**
 * Where the questions of each set come from, and under which licence. Sets are only asked, never
 * learned from, so a source may be one that no weights may come from.
 */
import { SOURCES, sourceOf } from '../../smollm2/sources.ts';

const HERE = 'written for this project';

const ONLY_ASKED: Readonly<Record<string, { licence: string; from: string }>> = {
  'plimsoll-frightening': { licence: 'Apache-2.0', from: `lab/study/questions/data/frightening.json, ${HERE}` },
  'plimsoll-waiting': { licence: 'Apache-2.0', from: `lab/study/questions/data/waiting.json, ${HERE}` },
  'plimsoll-jailbreaks': { licence: 'Apache-2.0', from: `lab/world/jailbreaks.json, ${HERE}` },
  'databricks-dolly-15k part (nayohan/dolly-15k-analysis)': {
    licence: 'CC-BY-SA-3.0',
    from: 'databricks-dolly-15k',
  },
  'databricks-dolly-15k part (LLM-Tuning-Safety/LLMs-Finetuning-Safety)': {
    licence: 'CC-BY-SA-3.0',
    from: 'databricks-dolly-15k',
  },
};

/** Throws, naming `file`, for a source that is in no table. null: a source that is left out. */
export function questionSource(name: string, file: string): { licence: string; from: string } | null {
  return ONLY_ASKED[name] ?? sourceOf(name, file);
}

/** The licences of some sources, in words, for the report. */
export function licencesOf(names: Iterable<string>): string {
  const found = [...new Set(names)].map((name) => (ONLY_ASKED[name] ?? SOURCES[name]!).licence);
  return [...new Set(found)].sort().join(', ');
}
