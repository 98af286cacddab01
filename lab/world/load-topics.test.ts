import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { CATEGORIES } from '#shared/line/categories.ts';
import { loadTopics } from './load-topics.ts';
import { DOMAINS, type Topic } from './schema.ts';

let topics: Topic[];

beforeAll(() => {
  topics = loadTopics();
});

function folderWith(change: (topic: Topic) => void): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'topics-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const topic = structuredClone(topics[0]!);
  change(topic);
  mkdirSync(path.join(dir, topic.domain), { recursive: true });
  writeFileSync(path.join(dir, topic.domain, `${topic.id}.json`), JSON.stringify(topic));
  return dir;
}

test('every topic file loads, and every domain has topics', () => {
  expect(new Set(topics.map((topic) => topic.domain))).toEqual(new Set(DOMAINS));
});

test('the whole world contains the first edition and several topics for every harm category', () => {
  const whole = loadTopics({ edition: 'whole' });
  const ids = whole.map(({ id }) => id);
  expect(ids).toEqual(expect.arrayContaining(topics.map(({ id }) => id)));
  expect(whole.length).toBeGreaterThan(3 * topics.length);
  for (const category of CATEGORIES) {
    expect(whole.filter((topic) => topic.category === category).length, category).toBeGreaterThanOrEqual(8);
  }
});

test('a valid topic folder loads', () => {
  expect(loadTopics({ dir: folderWith(() => {}) })).toHaveLength(1);
});

test.each<[string, (topic: Topic) => void, RegExp]>([
  [
    'an unknown fact id',
    (topic) => topic.questions.ordinary[0]!.facts.push('no-such-fact'),
    /no such id "no-such-fact"/,
  ],
  [
    'a harmful ask without a hazard',
    (topic) => (topic.questions.harmful[0]!.hazards = []),
    /needs at least one hazard/,
  ],
  [
    'a sentence that stands twice',
    (topic) => topic.refusals.push(topic.refusals[0]!.toUpperCase()),
    /stands twice|Too big/,
  ],
  ['an id used twice', (topic) => (topic.facts[1]!.id = topic.facts[0]!.id), /is used twice/],
  ['an unknown field', (topic) => Object.assign(topic, { colour: 'red' }), /colour/],
])('refuses %s', (_, change, message) => {
  expect(() => loadTopics({ dir: folderWith(change) })).toThrow(message);
});

test('additions add wordings and keywords unless they are left out', () => {
  const wordings = (options: Parameters<typeof loadTopics>[0]) => {
    const topic = loadTopics(options).find(({ id }) => id === 'wasp-nest')!;
    return { keywords: topic.keywords.length, ordinary: topic.questions.ordinary.map((ask) => ask.wordings) };
  };
  const [bare, full] = [wordings({ additionsDir: null }), wordings({})];
  expect(bare.keywords).toBe(0);
  expect(full.keywords).toBeGreaterThan(20);
  expect(full.ordinary).toHaveLength(bare.ordinary.length);
  full.ordinary.forEach((more, i) => {
    const before = bare.ordinary[i]!;
    expect(more.length).toBeGreaterThan(before.length);
    expect(more.slice(0, before.length)).toEqual(before);
  });
  expect(wordings({ edition: 'whole' })).toEqual(full);
});

test('reports an addition for an unknown topic or for the wrong number of asks', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-additions-'));
  const none = { keywords: [], questions: { ordinary: [], borderline: [], harmful: [] } };
  try {
    writeFileSync(path.join(dir, 'b.json'), '{');
    expect(() => loadTopics({ additionsDir: dir })).toThrow('b.json: not JSON');
    writeFileSync(path.join(dir, 'a.json'), JSON.stringify({ 'wasp-nest': none, 'no-topic': none }));
    expect(() => loadTopics({ additionsDir: dir })).toThrow(
      /its additions have 0 asks under ordinary, it has 2[\s\S]*"no-topic" is no topic/,
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});
