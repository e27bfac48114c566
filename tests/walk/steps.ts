/** What definitions of the walk's tests are made of. */

export const definition = (steps: object[], more: object = {}) => ({ name: "test", version: "1.0.0", steps, ...more });

export const tool = (id: string, more: object = {}) => ({ id, type: "tool", tool: "test.echo", arguments: {}, ...more });

/** A call that is not tried again: what fails once has failed. */
export const toolOnce = (id: string, more: object = {}) => tool(id, { retry: { maxAttempts: 1 }, ...more });

/** A payment, and what takes it back. */
export const payOnce = (id = "pay") => toolOnce(id, { compensate: [toolOnce("undo", { arguments: { what: "${output}" } })] });
