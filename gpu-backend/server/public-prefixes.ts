/**
 * Which beginnings of prompts belong to the operator. Keys and values of these tokens may be shared
 * by all tenants; those of everything else stay with the tenant that sent it, because how fast an
 * answer comes would tell others.
 *
 * Two kinds of text are the operator's: system prompts that a file lists, and the system prompts
 * that a bundle's experts have of their own. A request has a public beginning if its system message
 * is exactly one of the list's, or if it has none. What follows such a message, or takes its place,
 * is the client's, even if it reads like the operator's: otherwise a client could guess at the text
 * of an expert's prompt, and see from the time whether it was right.
 */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import type { Message } from '#shared/protocol/generate.ts';
import { leadingSystem } from '#shared/protocol/leading-system.ts';
import type { PublicTokens } from '../engine/engine.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import { type RenderedRows, renderRows } from '../model/render-rows.ts';

const SystemPrompts = z.array(z.string().min(1, 'found an empty text, wanted a system prompt'));

/** Reads a JSON list of system prompts. Throws an Error that names the file and what is wrong. */
export async function readSystemPrompts(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`${file}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${file}: found no JSON, wanted a list of system prompts`, { cause });
  }
  const parsed = SystemPrompts.safeParse(json);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues as [z.core.$ZodIssue];
  throw new Error(`${file}: ${path.length > 0 ? `entry ${path.join('.')}: ` : ''}${message}`);
}

/** Returns how many tokens at the beginning of a request's rows are public. */
export type PublicTokensOf = (messages: readonly Message[], rows: RenderedRows) => PublicTokens;

/**
 * Messages that have nothing in common, not even a first token: what they share once they are
 * rendered does not depend on a client.
 */
const QUESTIONS = ['a', '0', '?', '文'];

/**
 * Renders each of the operator's texts once. Throws an Error that names the entry if the chat
 * template does not take it.
 */
export function publicTokensOf(
  systemPrompts: readonly string[],
  head: Pick<BundleHead, 'renderChat' | 'prompts'>,
): PublicTokensOf {
  const beginning = (system: readonly Message[]): RenderedRows => {
    const rendered = QUESTIONS.map((content) => renderRows([...system, { role: 'user', content }], head));
    return rendered.reduce((shared, rows) => ({
      promptIds: common(shared.promptIds, rows.promptIds),
      rowPrompts: Object.fromEntries(
        Object.entries(rows.rowPrompts).map(([role, ids]) => [
          role,
          common(shared.rowPrompts[role as keyof RenderedRows['rowPrompts']] ?? [], ids),
        ]),
      ),
    }));
  };
  const withoutSystem = beginning([]);
  const bySystem = new Map(
    systemPrompts.map((content, entry) => {
      try {
        return [content, beginning([{ role: 'system', content }])];
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`public prefixes: entry ${entry}: ${reason}`, { cause });
      }
    }),
  );

  return (messages, rows) => {
    const [system, ...more] = messages.slice(0, leadingSystem(messages));
    const known = system === undefined ? withoutSystem : bySystem.get(system.content);
    if (known === undefined || more.length > 0) return {};
    const tokens = (role: 'safety' | 'helpfulness') =>
      common(rows.rowPrompts[role] ?? rows.promptIds, known.rowPrompts[role] ?? known.promptIds).length;
    return {
      safety: tokens('safety'),
      helpfulness: tokens('helpfulness'),
      layers: common(rows.promptIds, known.promptIds).length,
    };
  };
}

/** What both begin with. */
function common(a: readonly number[], b: readonly number[]): number[] {
  const differs = a.findIndex((id, i) => id !== b[i]);
  return a.slice(0, differs === -1 ? a.length : differs);
}
