/**
 * Everyday prompts, written for this project: what people ask an assistant on an ordinary day. One
 * group has frightening words and harmless wishes.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

const FILE = path.join(import.meta.dirname, 'data', 'everyday.json');
const Everyday = z.record(z.string(), z.array(z.string().trim().min(3)).min(5));

/** All prompts, in the order of the file. */
export function everydayPrompts(): string[] {
  return Object.values(Everyday.parse(JSON.parse(readFileSync(FILE, 'utf8')))).flat();
}
