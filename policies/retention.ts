/**
 * What may be kept of the traffic: a sample of the prompts, to try new policies on them, and
 * responses, so that clients can go on from them. Both are off until the tenant's own document says
 * otherwise, and every level above may forbid either.
 */
import * as z from 'zod';
import { Share } from '#shared/line/line.ts';

/** The longest that anything is kept. */
const MOST_DAYS = 30;

const whether = z.boolean().describe('whether prompts may be kept, to try new policies on them');
const share = Share.describe('which share of the requests has its prompt kept; 0: none');
const responses = z.boolean().describe('whether responses may be stored, to go on from them by their ids');
const days = z.int().min(1).max(MOST_DAYS).describe('after how many days a kept prompt or response is erased');

/** In a tenant's document: off, and if it is allowed, one request in a hundred for a week. */
export const Retention = z.strictObject({
  traffic: whether.default(false),
  share: share.default(0.01),
  responses: responses.default(false),
  days: days.default(7),
});
export type Retention = z.infer<typeof Retention>;

/** In the document of another level, where what is left out restricts nothing. */
export const RetentionPart = z.strictObject({
  traffic: whether.default(true),
  share: share.default(1),
  responses: responses.default(true),
  days: days.default(MOST_DAYS),
});

export const KEEPS_NOTHING: Retention = { traffic: false, share: 0, responses: false, days: 1 };

/** What a level says that leaves it to the others. */
export const FORBIDS_NOTHING: Retention = RetentionPart.parse({});

/** Whether any prompt may be kept. */
export function keepsPrompts({ traffic, share }: Retention): boolean {
  return traffic && share > 0;
}
