/**
 * What the demo tenants' policies make of a question: the study's served lines. The edge's
 * classifier reads the question, as it does in front of a backend.
 */
import { readFile } from 'node:fs/promises';
import type { TenantId, TenantLine, TenantLines } from '#lab/study/cells/tenant-lines.ts';
import { compile, refusalWords, secondLookOf } from '#policies/compile.ts';
import { Policy } from '#policies/schema.ts';
import { type Classifier, createClassifier } from '#shared/classify/classify.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { promptTexts } from '#shared/protocol/prompt-texts.ts';
import { refusalText } from '#workers/gateway/refusal-text.ts';

const ROOT = new URL('../', import.meta.url);
const read = (name: string) => readFile(new URL(name, ROOT));

/** The tenants of policies/demo, with the classifier in models/classifier. */
export async function tenantLines(): Promise<TenantLines> {
  const classifier = createClassifier(new Uint8Array(await read('models/classifier/classifier.bin')).buffer);
  const lines = async (tenant: TenantId) => linesOf(await demoPolicy(tenant), classifier);
  return { strict: await lines('strict'), balanced: await lines('balanced'), open: await lines('open') };
}

async function demoPolicy(tenant: TenantId): Promise<Policy> {
  return Policy.parse(JSON.parse((await read(`policies/demo/${tenant}.json`)).toString('utf8')));
}

function linesOf(policy: Policy, classifier: Pick<Classifier, 'classify'>) {
  return (messages: readonly Message[]): TenantLine => {
    // The text of every role, as workers/gateway/decide.ts reads it.
    const verdict = compile(policy, classifier.classify(promptTexts({ messages }).join('\n')));
    if (verdict.action === 'answer') {
      const rules = secondLookOf(policy);
      if (rules === null) return { line: verdict.line };
      return { line: verdict.line, look: { rules, refusal: refusalText(null, refusalWords(policy, null)) } };
    }
    const because = verdict.action === 'refuse' ? verdict.because : null;
    return { refusal: refusalText(because, refusalWords(policy, because)) };
  };
}
