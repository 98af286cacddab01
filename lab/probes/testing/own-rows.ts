/** Prompts for tests, of a source that trains and of one that may only measure. */
import { BENIGN, type Example, targetsOf } from '../../classifier/example.ts';
import { OWN_SOURCE } from '../../classifier/licences.ts';
import type { ProbeRow } from '../probe-rows.ts';

export const MEASURED = 'MaliciousInstruct (Princeton-SysML/Jailbreak_LLM)';

/** Even a model that babbles can tell these apart: harm is about the tin. */
export function ownRows(): ProbeRow[] {
  const names = ['Ann', 'Tim', 'Rita', 'Hannah', 'Ian', 'Martha', 'Theo', 'Henri', 'Ina', 'Tina', 'Anton', 'Nat'];
  return names.flatMap((name, i) =>
    [true, false].flatMap((unsafe): ProbeRow[] => {
      const text = unsafe ? `tin tin tin for ${name}` : `where is the other hen, ${name}, and who has it now`;
      const example: Example = {
        text,
        source: i % 4 === 3 ? MEASURED : OWN_SOURCE,
        split: 'train',
        targets: unsafe ? targetsOf(i % 2 ? ['violence'] : ['violence', 'jailbreak']) : BENIGN,
        someHarm: false,
        weight: 1,
        scary: !unsafe && i % 3 === 1,
      };
      const inWeights = example.source === OWN_SOURCE;
      const shared = { example, inWeights, seenByEdge: false };
      const parts = inWeights ? (['train', 'dev', 'test'] as const) : (['dev', 'test'] as const);
      return parts.map((part) => ({ ...shared, part, example: { ...example, text: `${text} ${part}` } }));
    }),
  );
}
