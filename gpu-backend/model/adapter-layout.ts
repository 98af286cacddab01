/**
 * Which modules an adapter changes, and by how much: PEFT's rules for `target_modules` and the keys
 * that go with it, applied to the names of the decoder's modules. Their Python is
 * `check_target_module_exists` and `get_pattern_key`.
 */
import { type AdapterConfig, shown } from './adapter-config.ts';
import { BundleError } from './bundle-error.ts';
import { type DecoderConfig, weightShapes } from './config.ts';
import { linearModules } from './linear-modules.ts';
import { withinTime } from './within-time.ts';

/**
 * What is added to each module that an adapter changes: `scale * B (A x)`. By full names such as
 * `model.layers.0.self_attn.q_proj`, in the decoder's order.
 */
export type AdapterLayout = ReadonlyMap<string, { rank: number; scale: number }>;

/**
 * @param file names the config in errors
 * @throws {BundleError} if the config selects no module, or one that is not a linear module of the
 *   decoder's layers, such as `lm_head`
 */
export function adapterLayout(adapter: AdapterConfig, llama: DecoderConfig, file: string): AdapterLayout {
  return withinTime(
    () => layoutOf(adapter, llama, file),
    () => {
      const keys = 'target_modules, exclude_modules, layers_pattern, rank_pattern or alpha_pattern';
      return new BundleError(file, `${keys}: found a regular expression that does not come to an end, wanted another`);
    },
  );
}

function layoutOf(adapter: AdapterConfig, llama: DecoderConfig, file: string): AdapterLayout {
  const fail = (key: keyof AdapterConfig, wanted: string): never => {
    throw new BundleError(file, `${key}: found ${shown(adapter[key])}, wanted ${wanted}`);
  };
  checkLayers(adapter, llama, fail);

  const linear = linearModules(llama);
  const changed = moduleNames(llama).filter(selector(adapter, fail));
  const other = changed.filter((name) => !linear.has(name));
  if (other.length > 0) {
    const kinds = new Set(other.map((name) => name.replace(/^model\.layers\.\d+\./, '')));
    fail('target_modules', `only linear modules of the layers (${SERVED}): it also selects ${[...kinds].join(', ')}`);
  }
  if (changed.length === 0) fail('target_modules', `at least one of ${SERVED}: it selects no module of this decoder`);

  const byModule = (key: 'rank_pattern' | 'alpha_pattern', otherwise: number) =>
    patterned(adapter, { key, otherwise, fail });
  const rankOf = byModule('rank_pattern', adapter.r);
  const alphaOf = byModule('alpha_pattern', adapter.lora_alpha);
  return new Map(
    changed.map((name) => {
      const [rank, alpha] = [rankOf(name), alphaOf(name)];
      return [name, { rank, scale: adapter.use_rslora ? alpha / Math.sqrt(rank) : alpha / rank }];
    }),
  );
}

const SERVED = 'q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj';

type Fail = (key: keyof AdapterConfig, wanted: string) => never;

function checkLayers(
  { target_modules, layers_to_transform, layers_pattern }: AdapterConfig,
  { num_hidden_layers: count }: DecoderConfig,
  fail: Fail,
): void {
  if (layers_to_transform?.some((layer) => layer >= count)) {
    fail('layers_to_transform', `layers of this decoder, 0 to ${count - 1}`);
  }
  if (layers_to_transform != null && typeof target_modules === 'string') {
    fail('layers_to_transform', 'null, as for PEFT, because target_modules is a regular expression');
  }
  if (layers_pattern?.length && layers_to_transform == null) {
    fail('layers_pattern', 'null, as for PEFT, because layers_to_transform is not set');
  }
}

/** The modules that have weights, by their names in Hugging Face's class. */
function moduleNames(llama: DecoderConfig): string[] {
  const owners = [...weightShapes(llama).keys()].map((name) => name.slice(0, name.lastIndexOf('.')));
  return [...new Set([...owners, 'lm_head'])];
}

/** Whether an adapter changes a module. */
function selector(adapter: AdapterConfig, fail: Fail): (name: string) => boolean {
  const { target_modules: targets, exclude_modules: excluded, layers_to_transform: layers } = adapter;
  const isExcluded = excluded?.length ? matcher(excluded, () => fail('exclude_modules', REGEX)) : () => false;
  if (typeof targets === 'string') {
    const isTarget =
      targets.toLowerCase() === 'all-linear'
        ? (name: string) => name.endsWith('_proj')
        : matcher(targets, () => fail('target_modules', REGEX));
    return (name) => isTarget(name) && !isExcluded(name);
  }
  const lists = adapter.layers_pattern?.length ? [adapter.layers_pattern].flat() : ['[^.]*'];
  const numbers = lists.map((list) => regex(`^.*?\\.${list}\\.(\\d+)\\.`, () => fail('layers_pattern', REGEX)));
  const isTarget = matcher(targets, () => fail('target_modules', REGEX));
  return (name) => {
    if (isExcluded(name) || !isTarget(name)) return false;
    // PEFT does not ask for the layer of a module that is listed by its whole name.
    if (!layers?.length || targets.includes(name)) return true;
    const found = numbers.map((number) => number.exec(name)?.[1]).find((number) => number !== undefined);
    return found !== undefined && layers.includes(Number(found));
  };
}

/** A list matches names that are in it or end with `.` and an entry; a string is a regex. */
function matcher(wanted: string | string[], fail: () => never): (name: string) => boolean {
  if (typeof wanted === 'string') {
    const whole = regex(`^(?:${wanted})$`, fail); // Python's re.fullmatch
    return (name) => whole.test(name);
  }
  return (name) => wanted.some((end) => name === end || name.endsWith(`.${end}`));
}

const REGEX = 'a regular expression that Python and JavaScript read alike';

/**
 * With the flag u, JavaScript refuses the syntax that it does not share with Python. Only numbered
 * references mean something else to it without an error.
 */
function regex(source: string, fail: () => never): RegExp {
  if (/\\[1-9]/.test(source)) fail();
  try {
    return new RegExp(source, 'u');
  } catch {
    return fail();
  }
}

/**
 * The value of a pattern for a module. PEFT changed the rule twice, in 0.14 and in 0.15. Files have
 * its version only since 0.18. Without one, a file that the rules read differently is refused.
 */
function patterned(
  adapter: AdapterConfig,
  { key, otherwise, fail }: { key: 'rank_pattern' | 'alpha_pattern'; otherwise: number; fail: Fail },
): (name: string) => number {
  const compile = (patterns: string[], rule: (pattern: string) => string) =>
    patterns.map((pattern) => ({ pattern, matches: regex(rule(pattern), () => fail(key, `${REGEX} as each key`)) }));
  const values = adapter[key] ?? {};
  const own = Object.keys(values);
  const all = [...Object.keys(adapter.rank_pattern ?? {}), ...Object.keys(adapter.alpha_pattern ?? {})];
  const today = compile(own, (pattern) => `^(?:.*\\.)?(?:${pattern})$`);
  const before = [own, all].map((patterns) => compile(patterns, (pattern) => `^(?:.*\\.${pattern}$)`));
  const rules = adapter.peft_version == null ? [today, ...before] : [today];
  return (name) => {
    const found = rules.map((rule) => {
      const first = rule.find(({ matches }) => matches.test(name));
      return Object.hasOwn(values, first?.pattern ?? name) ? values[first?.pattern ?? name]! : otherwise;
    });
    if (new Set(found).size > 1) {
      fail(
        key,
        `patterns that every version of PEFT reads alike: for ${name} they give ${[...new Set(found)].join(' or ')}`,
      );
    }
    return found[0]!;
  };
}
