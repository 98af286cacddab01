/**
 * An expert's own system prompt: `experts/<name>/prompt.txt`, and how it meets a client's messages.
 */
import { join } from 'node:path';
import type { Message } from '#shared/protocol/generate.ts';
import { leadingSystem } from '#shared/protocol/leading-system.ts';
import { BundleError } from './bundle-error.ts';
import { expertFiles } from './bundle-files.ts';
import type { RenderChat, RenderOptions } from './chat-template.ts';
import type { ExpertRole, Manifest } from './manifest.ts';
import { readSmallFile } from './read-small-file.ts';

/** The text of each expert that has one. */
export type ExpertPrompts = Partial<Readonly<Record<ExpertRole, string>>>;

/** About 16,000 tokens: far more than any system prompt, and read in no time. */
const MOST_BYTES = 65_536;

/** Everything below a space but tab and line feed, and U+007F. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what we look for.
const CONTROL_CHARACTER = /[\u0000-\u0008\u000b-\u001f\u007f]/;

/**
 * The text as the model reads it: without a byte order mark, with line feeds alone as line ends,
 * and without white space at either end. Throws a BundleError that names `file` if nothing is left,
 * if it is too long, or if it holds control characters (as UTF-16 read as UTF-8 does).
 */
export function cleanPrompt(text: string, file: string): string {
  const cleaned = text
    .replace(/^\ufeff/, '')
    .replaceAll(/\r\n?/g, '\n')
    .trim();
  const bytes = Buffer.byteLength(cleaned);
  if (bytes === 0) throw new BundleError(file, 'found no text, wanted a system prompt');
  if (bytes > MOST_BYTES) throw new BundleError(file, `found ${bytes} bytes, wanted at most ${MOST_BYTES}`);
  const control = CONTROL_CHARACTER.exec(cleaned)?.[0];
  if (control !== undefined) {
    const code = control.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
    throw new BundleError(file, `found the control character U+${code}, wanted plain text in UTF-8`);
  }
  return cleaned;
}

/** Reads the prompts that the manifest names. */
export async function readPrompts(dir: string, { experts }: Pick<Manifest, 'experts'>): Promise<ExpertPrompts> {
  const texts: Partial<Record<ExpertRole, string>> = {};
  for (const { name, role, prompt } of experts) {
    if (prompt) texts[role] = await readPrompt(dir, expertFiles(name).prompt);
  }
  return texts;
}

async function readPrompt(dir: string, file: string): Promise<string> {
  return cleanPrompt(await readSmallFile(join(dir, file), file, { most: MOST_BYTES }), file);
}

/**
 * The client's messages with an expert's prompt in their system message, after the client's own
 * text: whatever that says, the expert's text has the last word there. Without a system message of
 * the client's, the prompt is one by itself. System messages later in a conversation stay where
 * they are.
 */
export function withPrompt(messages: readonly Message[], prompt: string): Message[] {
  const leading = leadingSystem(messages);
  const last = messages[leading - 1];
  if (last === undefined) return [{ role: 'system', content: prompt }, ...messages];
  const content = last.content.trim() === '' ? prompt : `${last.content}\n\n${prompt}`;
  return [...messages.slice(0, leading - 1), { role: 'system', content }, ...messages.slice(leading)];
}

/**
 * Throws a BundleError if the chat template does not take these prompts, or if one of them leaves a
 * client no room in the context.
 */
export function checkPrompts(
  prompts: ExpertPrompts,
  { manifest, renderChat, contextLength }: { manifest: Manifest; renderChat: RenderChat; contextLength: number },
): void {
  const question: Message[] = [{ role: 'user', content: 'a' }];
  for (const { name, role } of manifest.experts) {
    const prompt = prompts[role];
    if (prompt === undefined) continue;
    const file = expertFiles(name).prompt;
    const render = (text: string, options: RenderOptions = {}) => {
      try {
        return renderChat(withPrompt(question, text), options);
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new BundleError(file, `wanted a chat template that takes a system message: ${reason}`, { cause });
      }
    };
    const ids = render(prompt);
    if (ids.join() === render(`${prompt} a`).join()) {
      throw new BundleError(file, 'wanted a chat template that takes a system message: this one leaves it out');
    }
    render(prompt, { ownPrompt: prompt });
    if (ids.length >= contextLength) {
      throw new BundleError(
        file,
        `found ${ids.length} tokens together with a message of one letter, ` +
          `wanted fewer than the ${contextLength} of the context`,
      );
    }
  }
}
