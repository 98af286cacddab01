/** The classifier that the edge ships with. */
import { readFile } from 'node:fs/promises';
import { type Classifier, createClassifier } from '#shared/classify/classify.ts';

const FILE = new URL('../../models/classifier/classifier.bin', import.meta.url);

export async function shippedClassifier(): Promise<Classifier> {
  return createClassifier(new Uint8Array(await readFile(FILE)).buffer);
}
