/**
 * Which side a prompt is on: a hash of its words alone, so that a row added or moved elsewhere moves no other. Held-out
 * rows measure, calibration rows turn scores into probabilities, and neither is trained on.
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
