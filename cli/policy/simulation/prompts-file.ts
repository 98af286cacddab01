/** The prompts of a simulation, out of a file. */
import { readFile } from 'node:fs/promises';
import { type Messages, readPrompts } from '#policies/simulation/read-prompts.ts';
import { whyNot } from '../../options/why-not.ts';

/** Throws if a line is no prompt, and names it. */
export async function readPromptsFile(file: string): Promise<Messages[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`${file} cannot be read: ${whyNot(cause)}`, { cause });
  });
  return readPrompts(text, file);
}
