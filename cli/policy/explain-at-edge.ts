/** The explanation of a running edge: under the levels that are stored there. */
import type { Explanation } from '#policies/explain.ts';
import type { Judgement } from '#shared/line/categories.ts';
import type { Mode } from '#shared/line/line.ts';
import { edgeOf, goodAnswer, tenantAt, tenantOf, versionOf } from './running-edge.ts';

export type AtEdge = {
  url: string;
  tenant?: string;
  /** Asks a backend of this model for its second look. */
  model?: string;
  floor?: number;
  budget?: number;
  mode: Mode;
  look?: Partial<Record<Judgement, number>>;
};

/** @param given a version, the file it was pushed from, or `active` */
export async function explainAtEdge(
  given: string,
  prompt: string,
  { model, look, floor, budget, mode, ...where }: AtEdge,
): Promise<Explanation> {
  const { version, file } = given === 'active' ? { version: null, file: undefined } : await versionOf(given);
  const id = tenantOf(where, file);
  const edge = edgeOf(where);
  const param = { id, version: version ?? (await tenantAt(id, edge)).policy_version };
  const json = {
    messages: [{ role: 'user' as const, content: prompt }],
    plimsoll: { mode, ...(floor !== undefined && { floor }), ...(budget !== undefined && { budget }) },
    ...(model !== undefined && { model }),
    ...(look !== undefined && { look }),
  };
  const answer = await edge.admin.tenants[':id'].policies[':version'].explain.$post({ param, json });
  // The cast: the route gives an Explanation as JSON, whose values are all plain data.
  return (await goodAnswer(answer, edge)) as unknown as Explanation;
}
