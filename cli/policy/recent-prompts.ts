/**
 * The prompts of a simulation out of recent traffic: those that the tenant's policy lets its edge
 * keep. They are written beside the results, because a run that was stopped goes on with the same
 * ones, and by then the edge has others.
 */
import { access } from 'node:fs/promises';
import type { Messages } from '#policies/simulation/read-prompts.ts';
import { type Edge, goodAnswer } from './running-edge.ts';
import { makePrivate, writePrivate } from './simulation/private-file.ts';
import { readPromptsFile } from './simulation/prompts-file.ts';

/**
 * Reads the latest `most` prompts from the edge, or those that an earlier run has written. Throws
 * if none are kept, and says what to set.
 *
 * @param force read them anew, whatever is there
 */
export async function recentPrompts(
  most: number,
  { tenant, edge, out, force }: { tenant: string; edge: Edge; out: string; force: boolean },
): Promise<Messages[]> {
  const file = `${out.replace(/\.jsonl$/, '')}.recent-${most}.jsonl`;
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (force || !isThere) {
    const lines = await latestAt(edge, { tenant, most });
    if (lines.trim() === '') throw new Error(noneYet(tenant));
    // What clients have written is for whoever ran the command.
    await writePrivate(file, lines);
  } else await makePrivate(file);
  return readPromptsFile(file);
}

async function latestAt(edge: Edge, { tenant, most }: { tenant: string; most: number }): Promise<string> {
  const answer = await edge.admin.tenants[':id'].samples.$get({
    param: { id: tenant },
    query: { limit: String(most) },
  });
  // It throws with the edge's own words.
  if (!answer.ok) await goodAnswer(answer, edge);
  return answer.text();
}

const noneYet = (tenant: string) =>
  `--recent: no prompt of ${tenant} is kept yet; its policy keeps the share "retention.share" of the requests that come from now on, for "retention.days" days`;
