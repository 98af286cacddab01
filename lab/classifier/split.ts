/**
 * Which side of the split a prompt is on. Only a hash of its words decides, so adding or moving a
 * row never moves another row to another side. Held-out rows measure, and calibration rows turn
 * scores into probabilities. We train on neither.
 */
import { hashToUnit } from '#training/data/random.ts';
import type { Split } from './example.ts';

const HELDOUT_SHARE = 0.2;
const CALIBRATION_SHARE = 0.12;

export function splitOf(group: string): Split {
  const place = hashToUnit(`classifier/${group}`);
  if (place < HELDOUT_SHARE) return 'heldout';
  return place < HELDOUT_SHARE + CALIBRATION_SHARE ? 'calibration' : 'train';
}
