/**
 * Reads every topic file and checks what the schema alone cannot: unique ids, valid references and
 * no duplicate sentences.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { type Edition, inEdition } from './editions.ts';
import { type Addition, Additions, Topic } from './schema.ts';

const TOPICS_DIR = path.join(import.meta.dirname, 'topics');
const ADDITIONS_DIR = path.join(import.meta.dirname, 'additions');

/**
 * Loads the topics of an edition, ordered by domain and id. The default edition is the demo
 * bundle's. Checks every file, whatever the edition, and throws one error that lists every fault
 * with its file.
 */
export function loadTopics({
  edition = 'first',
  dir = TOPICS_DIR,
  additionsDir = dir === TOPICS_DIR ? ADDITIONS_DIR : null,
}: {
  edition?: Edition | undefined;
  dir?: string;
  additionsDir?: string | null;
} = {}): Topic[] {
  const faults: string[] = [];
  const topics: Topic[] = [];
  const seenIds = new Map<string, string>();
  const seenTexts = new Map<string, string>();
  const seenKeywords = new Map<string, string>();
  const additions = readAdditions(additionsDir, faults);
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.json'))
    .sort();
  for (const file of files) {
    const fault = (message: string) => faults.push(`${file}: ${message}`);
    let json: unknown;
    try {
      json = JSON.parse(readFileSync(path.join(dir, file), 'utf8'));
    } catch (error) {
      fault(`not JSON: ${(error as Error).message}`);
      continue;
    }
    const parsed = Topic.safeParse(json);
    if (!parsed.success) {
      fault(z.prettifyError(parsed.error).replaceAll('\n', ' '));
      continue;
    }
    const written = parsed.data;
    const addition = additions.get(written.id);
    additions.delete(written.id);
    const topic = addition ? withAddition(written, addition, fault) : written;
    topics.push(topic);
    if (file !== path.join(topic.domain, `${topic.id}.json`)) fault(`belongs in ${topic.domain}/${topic.id}.json`);
    if (seenIds.has(topic.id)) fault(`id "${topic.id}" is also in ${seenIds.get(topic.id)}`);
    seenIds.set(topic.id, file);
    checkReferences(topic, fault);
    for (const keyword of topic.keywords) {
      const where = seenKeywords.get(keyword);
      if (where !== undefined) fault(`keyword "${keyword}" is also in ${where}`);
      seenKeywords.set(keyword, file);
    }
    for (const text of allTexts(topic)) {
      const key = text.toLowerCase().replace(/[^a-z0-9 ]/g, '');
      const where = seenTexts.get(key);
      if (where !== undefined) fault(`sentence stands twice (also in ${where}): "${text}"`);
      seenTexts.set(key, file);
    }
  }
  for (const id of additions.keys()) faults.push(`${additionsDir}: "${id}" is no topic`);
  if (faults.length > 0) throw new Error(`the small world has ${faults.length} faults:\n${faults.join('\n')}`);
  return topics.filter(({ id }) => inEdition(edition, id));
}

/**
 * Reads additional keywords and wordings for topics. Wordings are listed by ask, in the order of
 * the topic's asks. They have files of their own because the classifier was trained without them.
 */
function readAdditions(dir: string | null, faults: string[]): Map<string, Addition> {
  const additions = new Map<string, Addition>();
  for (const file of dir === null ? [] : readdirSync(dir).sort()) {
    let json: unknown;
    try {
      json = JSON.parse(readFileSync(path.join(dir!, file), 'utf8'));
    } catch (error) {
      faults.push(`${file}: not JSON: ${(error as Error).message}`);
      continue;
    }
    const parsed = Additions.safeParse(json);
    if (!parsed.success) faults.push(`${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
    else for (const [id, addition] of Object.entries(parsed.data)) additions.set(id, addition);
  }
  return additions;
}

function withAddition(topic: Topic, { keywords, questions }: Addition, fault: (message: string) => void): Topic {
  const asks = (kind: keyof Topic['questions']) => {
    const more = questions[kind];
    if (more.length !== topic.questions[kind].length) {
      fault(`its additions have ${more.length} asks under ${kind}, it has ${topic.questions[kind].length}`);
    }
    return topic.questions[kind].map((ask, i) => ({ ...ask, wordings: [...ask.wordings, ...(more[i] ?? [])] }));
  };
  return {
    ...topic,
    keywords: [...topic.keywords, ...keywords],
    questions: { ordinary: asks('ordinary'), borderline: asks('borderline'), harmful: asks('harmful') },
  };
}

function checkReferences(topic: Topic, fault: (message: string) => void): void {
  const ids = {
    facts: topic.facts.map((fact) => fact.id),
    hazards: topic.hazards.map((hazard) => hazard.id),
    cautions: topic.cautions.map((caution) => caution.id),
  };
  const all = [...ids.facts, ...ids.hazards, ...ids.cautions];
  for (const id of all) if (all.indexOf(id) !== all.lastIndexOf(id)) fault(`statement id "${id}" is used twice`);
  for (const [kind, asks] of Object.entries(topic.questions)) {
    asks.forEach((ask, i) => {
      const where = `questions.${kind}[${i}]`;
      for (const field of ['facts', 'hazards', 'cautions'] as const) {
        for (const id of ask[field]) if (!ids[field].includes(id)) fault(`${where}.${field}: no such id "${id}"`);
      }
      if (kind === 'ordinary') return;
      if (ask.hazards.length === 0) fault(`${where}: a ${kind} question needs at least one hazard`);
      if (ask.cautions.length === 0) fault(`${where}: a ${kind} question needs at least one caution`);
    });
  }
}

function allTexts(topic: Topic): string[] {
  const statements = [...topic.facts, ...topic.hazards, ...topic.cautions].flatMap((statement) => statement.wordings);
  const questions = Object.values(topic.questions).flatMap((asks) => asks.flatMap((ask) => ask.wordings));
  return [...statements, ...topic.refusals, ...topic.dismissals, ...questions];
}
