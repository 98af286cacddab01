/**
 * A small folder of made-up data for tests, with the layouts and file names of the real data.
 * Nothing in it is real or harmful.
 */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

const SUBJECTS = ['a kite', 'soup', 'a fence', 'bread', 'a bicycle', 'a letter', 'a shelf', 'tea', 'a lamp', 'a song'];
const VERBS = ['make', 'mend', 'sell', 'paint', 'lend', 'store', 'carry', 'choose', 'draw', 'wrap', 'weigh', 'count'];

/** Five short words of a prompt's own, so that no two prompts are nearly the same. */
function ownWords(text: string): string {
  const digest = createHash('sha256').update(text).digest('hex');
  return Array.from({ length: 5 }, (_, i) => digest.slice(2 * i, 2 * i + 2)).join(' ');
}

/** 120 different prompts of one source. */
const prompts = (source: string) =>
  VERBS.flatMap((verb) =>
    SUBJECTS.map(
      (subject) => `How do I ${verb} ${subject} ${ownWords(verb + subject + source)} for the ${source} fair?`,
    ),
  );
const good = (prompt: string, i: number) =>
  `Take your time, begin with the plain part and ask a friend ${i} to look: ${prompt}`;
const bad = (i: number) => `No idea, do as you like ${i}.`;

/** Every prompt twice, once with the better answer first, once with it second. */
const pairs = (source: string, dimension: 'better' | 'safer') =>
  prompts(source).flatMap((prompt, i) =>
    ([0, 1] as const).map((winner) => ({
      prompt,
      [`response_${winner}`]: good(prompt, i),
      [`response_${1 - winner}`]: bad(i),
      better: dimension === 'better' ? winner : null,
      safer: dimension === 'safer' ? winner : null,
      safe_0: null,
      safe_1: null,
      source,
    })),
  );

/** `name` is that of a source whose licence is known. */
const chats = (source: string, name: string) =>
  prompts(source).map((content, i) => ({
    messages: [
      { role: 'user', content },
      // Every fourth dialogue goes on. The study's sets leave those out.
      ...(i % 4 === 0
        ? [
            { role: 'assistant', content: bad(i) },
            { role: 'user', content: 'Please say more.' },
          ]
        : []),
    ],
    chosen: good(content, i),
    rejected: bad(i),
    source: name,
  }));

const instructions = (source: string, name = source) =>
  prompts(source).map((instruction, i) => ({ instruction, input: '', output: good(instruction, i), source: name }));

/** As in RM-Bench: a refusal and a compliance, and `safer` says which is the refusal. */
const refusals = (source: string) =>
  prompts(source).map((prompt, i) => ({
    prompt,
    [`response_${i % 2}`]: `I'm sorry, but I cannot assist with this: ${prompt}`,
    [`response_${1 - (i % 2)}`]: good(prompt, i),
    better: null,
    safer: i % 2,
    source: `RM-Bench/refusals-${source}`,
  }));

/** Every prompt with an answer that somebody called safe, and one that he did not. */
const verdicts = (source: string) =>
  prompts(source).flatMap((prompt, i) =>
    [true, false].map((safe) => ({
      prompt,
      response: safe ? good(prompt, i) : bad(i),
      safe,
      category: 'mischief',
      source,
    })),
  );

/** As in refusal_direction: a plain answer to an ordinary prompt, and a refusal. */
const steered = (source: string) =>
  refusals(source).map((row, i) => ({
    ...row,
    safer: null,
    better: 1 - (i % 2),
    source: 'refusal_direction/harmless',
  }));

const FILES: Record<string, readonly object[]> = {
  'resp_refusal_direction.jsonl.gz': verdicts('winter night'),
  'resp_safety_diasafety.jsonl.gz': verdicts('forest'),
  'pref_refusal_direction.jsonl.gz': steered('garden'),
  'pref_pku_saferlhf_5k.jsonl.gz': pairs('spring', 'safer'),
  'pref_hh_rlhf_harmless_test.jsonl.gz': chats('summer', 'anthropics/hh-rlhf'),
  'pref_helpful_mixed.jsonl.gz': pairs('autumn', 'better'),
  'pref_alpaca_eval.jsonl.gz': pairs('winter', 'better'),
  'pref_rmbench.jsonl.gz': refusals('night'),
  'instr_dolly.jsonl.gz': instructions('village', 'databricks-dolly-15k part (nayohan/dolly-15k-analysis)'),
  'instr_rasbt_1100.jsonl.gz': instructions('town', 'rasbt/LLMs-from-scratch'),
  'instr_alpaca.jsonl.gz': instructions('city'),
  'instr_gpteacher.jsonl.gz': instructions('school'),
  'instr_safe_answers.jsonl.gz': instructions('church'),
};

export async function writeRealData(dir: string): Promise<void> {
  for (const [file, rows] of Object.entries(FILES)) {
    await writeFile(path.join(dir, file), gzipSync(rows.map((row) => `${JSON.stringify(row)}\n`).join('')));
  }
}
