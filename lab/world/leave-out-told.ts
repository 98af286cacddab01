/**
 * Removes from a topic and an ask what the assistant has already said, as long as something is
 * left. Nobody likes to be told things twice.
 */
import type { Ask, Statement, Topic } from './schema.ts';

/** A helpful answer needs at least this many facts. */
const LEAST_FACTS = 2;

/**
 * `said` is everything the assistant has said. A statement counts as told if any of its wordings
 * was said. If it must be said again, it keeps only the wordings not yet used. If `more` is set,
 * other facts of the topic replace the ask's own once those are told.
 */
export function leaveOutTold(
  { topic, ask }: { topic: Topic; ask: Ask },
  { said, more }: { said: string; more: boolean },
): { topic: Topic; ask: Ask } {
  const isNew = (text: string) => !said.includes(text);
  const untold = (statements: readonly Statement[]) => untoldIds(statements, said);
  const reworded = (statements: readonly Statement[]) =>
    statements.map((statement) => ({
      ...statement,
      wordings: orAll(statement.wordings.filter(isNew), statement.wordings),
    }));
  const newFacts = untold(topic.facts);
  const [newHazards, newCautions] = [untold(topic.hazards), untold(topic.cautions)];
  const ownFacts = ask.facts.filter((id) => newFacts.has(id));
  const askFacts = ownFacts.length > 0 ? ownFacts : more && newFacts.size > 0 ? [...newFacts] : ask.facts;
  const facts = reworded(topic.facts).filter(({ id }) => newFacts.has(id) || askFacts.includes(id));
  return {
    topic: {
      ...topic,
      facts: facts.length < LEAST_FACTS ? reworded(topic.facts) : facts,
      hazards: reworded(topic.hazards),
      cautions: reworded(topic.cautions),
      refusals: orAll(topic.refusals.filter(isNew), topic.refusals),
      dismissals: orAll(topic.dismissals.filter(isNew), topic.dismissals),
    },
    ask: {
      ...ask,
      facts: askFacts,
      hazards: orAll(
        ask.hazards.filter((id) => newHazards.has(id)),
        ask.hazards,
      ),
      cautions: orAll(
        ask.cautions.filter((id) => newCautions.has(id)),
        ask.cautions,
      ),
    },
  };
}

/** How many facts of the topic are left to tell. */
export function countUntold({ facts }: Topic, said: string): number {
  return untoldIds(facts, said).size;
}

function untoldIds(statements: readonly Statement[], said: string): Set<string> {
  const left = statements.filter(({ wordings }) => !wordings.some((wording) => said.includes(wording)));
  return new Set(left.map(({ id }) => id));
}

function orAll<T>(left: T[], all: T[]): T[] {
  return left.length > 0 ? left : all;
}
