/** `plimsoll policy explain`: why a prompt gets the line it gets. */
import { text as textOf } from 'node:stream/consumers';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Level, LevelName } from '#policies/effective.ts';
import { type ExplainedBound, type Explanation, explain } from '#policies/explain.ts';
import { LOOSEST } from '#policies/schema.ts';
import { JUDGEMENTS, type Judgement, SIGNALS, type Signal } from '#shared/line/categories.ts';
import { MODES, type Mode } from '#shared/line/line.ts';
import type { SignalValues } from '#shared/line/rules.ts';
import { lookCategories } from '#shared/protocol/second-look.ts';
import { explainAtEdge } from './explain-at-edge.ts';
import { operatorOption, readOperator } from './operator.ts';
import { readSoundPolicy } from './policy-files.ts';
import { shippedClassifier } from './shipped-classifier.ts';

type Values = Partial<Record<Signal, number>>;
type Flags = {
  operator: string | false;
  plan?: string;
  key?: string;
  floor?: number;
  budget?: number;
  mode: Mode;
  signal?: Values;
  look?: Partial<Record<Judgement, number>>;
  url?: string;
  tenant?: string;
  model?: string;
  json: boolean;
};

export const explainCommand = () =>
  new Command('explain')
    .description('say why a prompt gets the line it gets: what fires, and which level and field set each bound')
    .argument('<file>', "the tenant's policy, as JSON; with --url also a version that the edge has, or active")
    .argument('[prompt]', 'the prompt; left out, it is read from the standard input, or nothing if --signal says all')
    .addOption(operatorOption())
    .option('--no-operator', 'leave the operator out')
    .option('--plan <file>', "the plan's policy")
    .option('--key <file>', "the key's policy")
    .option('--floor <share>', 'a floor that the request asks for', number('a share', 1))
    .option('--budget <nats>', 'a budget that the request asks for', number('nats', Infinity))
    .addOption(new Option('--mode <mode>', 'the mode that the request asks for').choices(MODES).default('logits'))
    .option('--signal <name=p>', 'what the classifier finds, in its place; may be repeated', values(SIGNALS))
    .option(
      '--look <name=p>',
      "what a backend's second look finds; may be repeated, and the rest is 0",
      values(JUDGEMENTS),
    )
    .option('--url <url>', 'ask the edge that listens there: its levels count, and --operator, --plan and --key do not')
    .option('--tenant <id>', "with --url: the tenant; left out, it is the file's name without .json")
    .option('--model <id>', 'with --url: ask a backend of this model for its second look, which costs tokens')
    .option('--json', 'print all of it as JSON', false)
    .addHelpText(
      'after',
      '\nWith --url the key comes from the environment: PLIMSOLL_ADMIN_KEY or PLIMSOLL_OPERATOR_KEY.',
    )
    .action(async (file: string, prompt: string | undefined, flags: Flags) => {
      const { url } = flags;
      if (url !== undefined) {
        if (flags.signal !== undefined)
          throw new Error('--signal: the edge classifies the prompt itself; leave it out');
        const found = await explainAtEdge(file, await promptOf(prompt), { ...flags, url });
        console.log(flags.json ? JSON.stringify(found, null, 2) : pageOf(found));
        return;
      }
      const remote = (['tenant', 'model'] as const).find((name) => flags[name] !== undefined);
      if (remote !== undefined) throw new Error(`--${remote} is about a running edge: name one with --url`);
      const levels = await readLevels(file, flags);
      const signals = await signalsOf(prompt, flags.signal ?? {});
      const look = flags.look;
      const backend = look === undefined ? null : lookCategories(JUDGEMENTS.map((judgement) => look[judgement] ?? 0));
      const found = await explain(levels, signals, { mode: flags.mode, backend });
      console.log(flags.json ? JSON.stringify(found, null, 2) : pageOf(found));
    });

async function readLevels(file: string, { operator, plan, key, floor, budget }: Flags): Promise<Level[]> {
  const level = async (name: LevelName, from: string | false | undefined): Promise<Level[]> => {
    if (from === undefined || from === false) return [];
    const { policy, version } = name === 'operator' ? await readOperator(from) : await readSoundPolicy(from, name);
    return [{ level: name, version, policy, problem: null }];
  };
  const asked = { ...LOOSEST, floor: floor ?? LOOSEST.floor, budget: budget ?? LOOSEST.budget };
  const isAsked = floor !== undefined || budget !== undefined;
  return [
    ...(await level('operator', operator)),
    ...(await level('plan', plan)),
    ...(await level('tenant', file)),
    ...(await level('key', key)),
    ...(isAsked ? [{ level: 'request', version: null, policy: asked, problem: null } as const] : []),
  ];
}

/** Without a prompt, the signals that are named, and 0 for the others. */
async function signalsOf(prompt: string | undefined, named: Values): Promise<SignalValues> {
  if (prompt === undefined && Object.keys(named).length > 0) {
    return { ...Object.fromEntries(SIGNALS.map((signal) => [signal, 0])), ...named };
  }
  return { ...(await shippedClassifier()).classify(await promptOf(prompt)), ...named };
}

async function promptOf(prompt: string | undefined): Promise<string> {
  if (prompt === undefined && process.stdin.isTTY) throw new Error('which prompt? Give it after the file, or --signal');
  return prompt ?? (await textOf(process.stdin));
}

function pageOf(found: Explanation): string {
  return [
    `effective policy ${found.version}`,
    ...found.problems.map(({ level, problem }) => `problem         ${level}: ${problem}`),
    `verdict         ${verdictOf(found)}`,
    ...section(
      'fired',
      found.fired.map(({ signal, look, probability, force, levels }) => {
        return `${signal} ${rounded(probability)} at the ${look}, force ${rounded(force)}, rules of ${levels.join(', ')}`;
      }),
    ),
    ...section('bounds', found.bounds.map(boundOf)),
    ...section(
      'shadow',
      found.shadow.map(({ signal, probability, tightens, would }) => {
        const { action, floor, budget } = would;
        const then = `${action}, floor ${rounded(floor)}, ${budget === null ? 'no budget' : `budget ${rounded(budget)}`}`;
        return `${signal} ${rounded(probability)}: ${tightens ? `would be ${then}` : 'would change nothing'}`;
      }),
    ),
  ].join('\n');
}

function verdictOf({ verdict, refusal }: Explanation): string {
  if (verdict.action === 'forbid') return `the mode ${verdict.mode} is forbidden`;
  if (verdict.action === 'answer')
    return verdict.line.action === 'mix' ? 'answer' : 'answer, by the safety expert alone';
  const why = verdict.because === null ? '' : `, because of ${verdict.because}`;
  return `refuse${why}${refusal === null ? '' : `: ${JSON.stringify(refusal)}`}`;
}

function boundOf({ bound, value, rule, set_by }: ExplainedBound): string {
  const levels = [...new Set(set_by.map(({ level }) => level))].map((level) => {
    const fields = set_by.filter((each) => each.level === level).map(({ field }) => field);
    return rule === null && fields.every((field) => field === bound) ? level : `${level} (${fields.join(', ')})`;
  });
  const by = levels.join(', ');
  const shown = typeof value === 'number' ? String(rounded(value)) : JSON.stringify(value);
  return `${bound} ${shown}${by === '' ? '' : ` by ${by}`}`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.map((line, i) => `${(i === 0 ? title : '').padEnd(16)}${line}`);
}

const rounded = (value: number) => Math.round(value * 1e4) / 1e4;

function number(what: string, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && value >= 0 && value <= most) return value;
    throw new InvalidArgumentError(`found "${text}", wanted ${what} from 0${most === Infinity ? '' : ` to ${most}`}.`);
  };
}

function values(names: readonly Signal[]) {
  return (text: string, before: Values = {}): Values => {
    const [name, value = ''] = text.split('=', 2);
    const signal = names.find((each) => each === name);
    if (signal === undefined) throw new InvalidArgumentError(`found "${name}", wanted one of ${names.join(', ')}.`);
    return { ...before, [signal]: number('a probability', 1)(value) };
  };
}
