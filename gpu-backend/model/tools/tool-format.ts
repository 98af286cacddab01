/**
 * What a chat template does with tools. Nothing says so but the template itself, so it is tried
 * out: it has to show a sample tool and its result, and what it writes for a sample call has to
 * read as that call, by the same parser that reads the model's answers. So a template whose syntax
 * we cannot read counts as one that knows no tools, and its model is told another syntax.
 */

import type { Message } from '#shared/protocol/generate.ts';
import { ToolCallParser, type ToolEvent } from '#shared/tools/parse-tool-calls.ts';
import { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { SAMPLE, sampleCalls } from './spoken.ts';
import type { Knows } from './template-tools.ts';

export type ToolFormat = {
  /** In which the model writes calls. */
  syntax: ToolSyntax;
  /** null: it is told of tools in plain messages. */
  knows: Knows | null;
};

/** Renders with sample tools, in the way of a template that knows them. Throws if it cannot. */
export type TryTemplate = (
  messages: readonly Message[],
  options: { knows: Knows; tools: readonly (typeof SAMPLE.tool)[]; addGenerationPrompt: boolean },
) => string;

export function readToolFormat(render: TryTemplate): ToolFormat {
  for (const textArguments of [false, true]) {
    const syntax = syntaxWritten(render, { textArguments, singleCalls: false }, 1);
    if (syntax === null) continue;
    const singleCalls = syntaxWritten(render, { textArguments, singleCalls: false }, 2) !== syntax;
    const knows = { textArguments, singleCalls };
    if (singleCalls && syntaxWritten(render, knows, 2) === null) continue;
    return { syntax, knows };
  }
  return { syntax: 'hermes', knows: null };
}

/** The syntax in which it writes so many calls; null if it does not, or leaves something out. */
function syntaxWritten(render: TryTemplate, knows: Knows, calls: number): ToolSyntax | null {
  const attempt = (messages: readonly Message[], addGenerationPrompt: boolean) => {
    try {
      return render(messages, { knows, tools: [SAMPLE.tool], addGenerationPrompt });
    } catch {
      return null;
    }
  };
  const messages = sampleCalls(calls);
  const whole = attempt(messages, true);
  const asked = attempt(messages.slice(0, 1), true);
  if (whole === null || asked === null) return null;
  const { tool, result } = SAMPLE;
  const isShown = [tool.name, tool.description, 'sample_key'].every((text) => asked.includes(text));
  if (!isShown || whole.split(result).length !== calls + 1) return null;
  // What comes behind the question is what the model would have written.
  let same = 0;
  while (same < asked.length && asked[same] === whole[same]) same++;
  return ToolSyntax.options.find((syntax) => isSample(whole.slice(same), syntax, calls)) ?? null;
}

/**
 * Whether the text has sample calls in this syntax. Where each call has a message of its own, each
 * message is read by itself, from where the call begins.
 */
function isSample(text: string, syntax: ToolSyntax, calls: number): boolean {
  const turns = text.split(SAMPLE.result).slice(0, -1);
  const read = (turn: string) => {
    const parser = new ToolCallParser(syntax, { names: [SAMPLE.tool.name] });
    return [...parser.push(turn), ...parser.end()];
  };
  const [first, ...more] = turns as [string, ...string[]];
  const begun = more.map((turn) => turn.slice(Math.max(turn.indexOf('{"name"'), 0)));
  const events = [first, ...begun].flatMap(read);
  const names = events.flatMap((event) => (event.type === 'call' ? [event.name] : []));
  return names.length === calls && names.every((name) => name === SAMPLE.tool.name) && areSample(events, calls);
}

function areSample(events: readonly ToolEvent[], calls: number): boolean {
  const json = events.flatMap((event) => (event.type === 'arguments' ? [event.text] : []));
  const normal = (text: string) => {
    try {
      return JSON.stringify(JSON.parse(text));
    } catch {
      return null;
    }
  };
  return json.length === calls && json.every((text) => normal(text) === normal(SAMPLE.json));
}
