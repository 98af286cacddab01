/** One prompt under up to three lines, side by side. */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { ModelList } from '#shared/api/models.ts';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import type { PoolAnswer } from '../../control/pool.ts';
import { callJson } from '../net/api.ts';
import { type SessionAnswer, useSession } from '../net/session.tsx';
import { useAnswer } from '../net/use-answer.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import type { Asked } from './ask.ts';
import { Composer } from './composer.tsx';
import { type LaneChoice, LaneFor, useLanes } from './lanes.tsx';

const MOST_LANES = 3;
const FIRST: Asked = { model: '', prompt: '', system: '', maxTokens: 128, temperature: null, seed: null };

type Ground = { models: string[]; tenants: TenantAnswer[] };

/** What the key may ask: its models and, for an operator, whose policies there are. */
async function surveyed(session: SessionAnswer, signal: AbortSignal): Promise<Ground> {
  if (session.kind === 'tenant') {
    const { data } = await callJson<ModelList>('/v1/models', { signal });
    return { models: data.map(({ id }) => id), tenants: [] };
  }
  const [pool, tenants] = await Promise.all([
    callJson<z.infer<typeof PoolAnswer>>('/admin/v1/pool', { signal }),
    callJson<{ data: TenantAnswer[] }>('/admin/v1/tenants?limit=100', { signal }),
  ]);
  return { models: pool.models.map(({ id }) => id), tenants: tenants.data.filter(({ state }) => state === 'active') };
}

export function Playground() {
  const session = useSession();
  const ground = useAnswer((signal) => surveyed(session, signal), [session.tenant]);
  if (ground.error !== null && ground.value === null) return <ErrorNotice error={ground.error} again={ground.again} />;
  if (ground.value === null) return <Waiting what="Asking which models there are …" />;
  const { models, tenants } = ground.value;
  if (models.length === 0) {
    return (
      <Empty title="No model is served">
        <p>A backend has to be up before anybody can ask. The page Pool shows them to an operator.</p>
      </Empty>
    );
  }
  if (session.kind === 'operator' && tenants.length === 0) {
    return (
      <Empty title="No tenant yet">
        <p>A prompt is answered under a tenant’s policy. Make a tenant first.</p>
      </Empty>
    );
  }
  return <Ready models={models} tenants={tenants} />;
}

function Ready({ models, tenants }: Ground) {
  const session = useSession();
  const [asked, setAsked] = useState<Asked>({ ...FIRST, model: models[0] ?? '' });
  const { choices, lanes, add, remove, change } = useLanes(firstChoices(session, tenants), MOST_LANES);
  const busy = lanes.some(({ answer }) => answer.state === 'asking' || answer.state === 'streaming');
  return (
    <div class="playground">
      <h1 class="hidden">Playground</h1>
      <Composer
        asked={asked}
        models={models}
        busy={busy}
        onChange={(part) => setAsked((last) => ({ ...last, ...part }))}
        onRun={() => choices.forEach((choice, at) => void lanes[at]?.start(asked, choice.line))}
        onStop={() => lanes.forEach((lane) => void lane.stop())}
      />
      <div class={`lanes count-${choices.length}`}>
        {choices.map((choice, at) => (
          <LaneFor
            key={choice.id}
            choice={choice}
            tenants={tenants}
            answer={lanes[at]?.answer}
            prompt={asked}
            onChange={(line) => change(choice.id, line)}
            onRemove={choices.length > 1 ? () => remove(choice.id) : null}
          />
        ))}
        {choices.length < MOST_LANES && (
          <button type="button" class="add-lane" onClick={() => add(nextChoice(choices, tenants))}>
            <span aria-hidden="true">+</span> Another line
          </button>
        )}
      </div>
    </div>
  );
}

type Line = LaneChoice['line'];

function firstChoices({ kind }: SessionAnswer, tenants: readonly TenantAnswer[]): Line[] {
  if (kind === 'tenant') return [{ tenant: null, floor: null, budget: null }];
  return tenants.slice(0, MOST_LANES).map(lineOfTenant);
}

function nextChoice(choices: readonly LaneChoice[], tenants: readonly TenantAnswer[]): Line {
  const unused = tenants.find(({ id }) => choices.every(({ line }) => line.tenant?.id !== id)) ?? tenants[0];
  return unused === undefined ? { tenant: null, floor: null, budget: null } : lineOfTenant(unused);
}

const lineOfTenant = ({ id, policy_version }: TenantAnswer): Line => ({
  tenant: { id, version: policy_version },
  ...{ floor: null, budget: null },
});
