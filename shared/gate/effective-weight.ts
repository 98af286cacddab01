/**
 * The safety expert's share of one token: what the router proposes, held between the policy's floor and ceiling.
 *
 *     w = clamp(g, floor, ceiling),    floor' = max(floor, opening.floor) while position < opening.tokens
 *
 * The router is a learned sigmoid, as MidPO's are (arXiv 2506.02460); the clamp is what makes a *line* of it, since
 * nothing that a prompt does to the router can move the floor. The opening exists because an answer's first few tokens
 * decide most of its safety: "shallow alignment", Qi et al., arXiv 2406.05946.
 */
import { isShare } from './check-inputs.ts';
import type { GatePolicy } from './gate-types.ts';

/** The least share of the safety expert that the policy allows for the token at `position` (0 is the first). */
export function effectiveFloor(
  { floor, opening }: Pick<GatePolicy, 'floor' | 'opening'>,
  { position }: { position: number },
): number {
  return position < opening.tokens ? Math.max(floor, opening.floor) : floor;
}

/**
 * The share to use. A floor above the ceiling wins, so that tightening either can only tighten. A proposal that no
 * sigmoid makes (NaN, or outside 0..1) says that the router is broken: the share is then 1, whatever the ceiling.
 *
 *     effectiveWeight(0.2, { floor: 0.3, ceiling: 0.9 }); // 0.3
 */
export function effectiveWeight(proposal: number, { floor, ceiling }: { floor: number; ceiling: number }): number {
  return isShare(proposal) ? Math.max(floor, Math.min(proposal, ceiling)) : 1;
}
