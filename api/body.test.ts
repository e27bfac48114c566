import { expect, test } from "@jest/globals";
import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import { readParameters } from "./body.ts";

const schema = z.strictObject({ status: z.enum(["pending", "approved"]).optional(), limit: z.coerce.number().max(100).optional() });

function refusal(values: object): Fault {
  try {
    readParameters(schema, values);
  } catch (error) {
    if (error instanceof Fault) return error;
  }
  throw new Error("not refused");
}

test("what does not fit is named in the sentence itself, with the name that was meant", () => {
  const { detail, errors } = refusal({ stauts: "pending" }).problem;
  expect(detail).toBe("A parameter is not as it should be. /stauts: The field does not exist here. Did you mean `status`?");
  expect(errors).toMatchObject([{ pointer: "/stauts", code: "unknown_field" }]);
});

test("no name is made up for a field that is like none", () => {
  expect(refusal({ colour: "red" }).problem.detail).toBe("A parameter is not as it should be. /colour: The field does not exist here.");
});

test("of several the first is in the sentence, all are in the list", () => {
  const { detail, errors } = refusal({ status: "open", limit: 1_000 }).problem;
  expect(detail).toMatch(/^A parameter is not as it should be\. \/status: /);
  expect(errors).toHaveLength(2);
});
