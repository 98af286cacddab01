/** The rows of the engine's table, by the name that `--only` takes. */
import { InvalidArgumentError } from 'commander';
import type { Row } from '../row.ts';
import { bandwidthRow } from './bandwidth.ts';
import { curveRow } from './curve.ts';
import { decodeRow } from './decode.ts';
import { firstTokenRow } from './first-token.ts';
import { gapRow } from './gap.ts';
import { gateShareRow } from './gate-share.ts';
import { httpRow } from './http.ts';
import { prefillRow } from './prefill.ts';
import { twoExpertsRow } from './two-experts.ts';

export const ROWS = {
  'two-experts': twoExpertsRow,
  decode: decodeRow,
  prefill: prefillRow,
  http: httpRow,
  'first-token': firstTokenRow,
  bandwidth: bandwidthRow,
  gap: gapRow,
  'gate-share': gateShareRow,
  curve: curveRow,
} as const satisfies Record<string, Row>;
export type RowName = keyof typeof ROWS;
// Object.keys forgets which keys they are.
export const ROW_NAMES = Object.keys(ROWS) as RowName[];

/** `decode,http` as a list of rows. Throws if there is no such row. */
export function parseRows(text: string): RowName[] {
  return text.split(',').map((name) => {
    const trimmed = name.trim();
    const known = ROW_NAMES.find((row) => row === trimmed);
    if (known === undefined) {
      throw new InvalidArgumentError(`Found ${JSON.stringify(trimmed)}, wanted some of ${ROW_NAMES.join(', ')}.`);
    }
    return known;
  });
}
