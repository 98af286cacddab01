/**
 * The safety expert's share of one token: the router's proposal, held between the policy's floor
 * and ceiling.
 *
 *     w = clamp(g, floor, ceiling)
 *     floor' = max(floor, opening.floor) while position < opening.tokens
 *
 * The router is a learned sigmoid, like MidPO's (arXiv 2506.02460). The clamp turns it into a
 * *line*: nothing that a prompt does to the router can move the floor. The opening is there because
 * an answer's first few tokens decide most of its safety ("shallow alignment", Qi et al., arXiv
 * 2406.05946).
 */
import { isShare } from './check-inputs.ts';
import type { GatePolicy } from './gate-types.ts';

/**
 * The least share of the safety expert that the policy allows at `position` (0 is the first token).
 */
export function effectiveFloor(
  { floor, opening }: Pick<GatePolicy, 'floor' | 'opening'>,
  { position }: { position: number },
): number {
  return position < opening.tokens ? Math.max(floor, opening.floor) : floor;
}

/**
 * The share to use. A floor above the ceiling wins, so that tightening either bound never loosens
 * the result. A proposal that no sigmoid can produce (NaN, or outside 0..1) shows that the router
 * is broken. Then the share is 1, whatever the ceiling.
 *
 *     effectiveWeight(0.2, { floor: 0.3, ceiling: 0.9 }); // 0.3
 */
export function effectiveWeight(proposal: number, { floor, ceiling }: { floor: number; ceiling: number }): number {
  return isShare(proposal) ? Math.max(floor, Math.min(proposal, ceiling)) : 1;
}
