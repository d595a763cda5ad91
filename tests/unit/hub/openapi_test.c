/* SPDX-License-Identifier: MIT */

/* The description of the API says what the table of routes says, and refers to nothing that it lacks.
 * What the hub answers is held against it by tests/e2e/test_openapi.py. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>
#include <jansson.h>

#include "api/api.h"

static const char *const methods[] = { "get",     "put",  "post",  "delete",
	                               "options", "head", "patch", "trace" };
#define METHOD_COUNT (sizeof methods / sizeof *methods)

static int setup(void **state)
{
	json_error_t error;

	*state = json_loads(tow__openapi, JSON_REJECT_DUPLICATES, &error);
	if (!*state)
		fail_msg("line %d: %s", error.line, error.text);
	return 0;
}

static int teardown(void **state)
{
	json_decref(*state);
	return 0;
}

/* "#/components/schemas/Error" */
static json_t *resolve(json_t *document, const char *pointer)
{
	char part[64];

	if (strncmp(pointer, "#/", 2) != 0)
		fail_msg("%s refers to elsewhere", pointer);
	for (pointer += 2; document && *pointer;
	     pointer += strcspn(pointer, "/"), pointer += *pointer == '/') {
		snprintf(part, sizeof part, "%.*s", (int)strcspn(pointer, "/"), pointer);
		document = json_object_get(document, part);
	}
	return document;
}

static json_t *followed(json_t *document, json_t *value)
{
	const char *reference = json_string_value(json_object_get(value, "$ref"));

	return reference ? resolve(document, reference) : value;
}

static json_t *operation_of(json_t *document, const struct tow_http_route *route)
{
	json_t *path = json_object_get(json_object_get(document, "paths"), route->path);

	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (!strcasecmp(methods[i], route->method))
			return json_object_get(path, methods[i]);
	return NULL;
}

static void every_route_is_described(void **state)
{
	for (size_t i = 0; i < tow__api_route_count; i++)
		if (!operation_of(*state, &tow__api_routes[i]))
			fail_msg("%s %s is not in openapi.json", tow__api_routes[i].method,
			         tow__api_routes[i].path);
}

static int has_route(const char *method, const char *path)
{
	for (size_t i = 0; i < tow__api_route_count; i++)
		if (!strcasecmp(tow__api_routes[i].method, method) &&
		    !strcmp(tow__api_routes[i].path, path))
			return 1;
	return 0;
}

static void every_description_has_a_route(void **state)
{
	const char *path, *method;
	json_t *methods_of, *operation;

	json_object_foreach(json_object_get(*state, "paths"), path, methods_of)
		json_object_foreach(methods_of, method, operation) if (!has_route(method, path))
			fail_msg("%s %s is in openapi.json alone", method, path);
}

/* Each {part} of the path is a parameter, and no other parameter is in the path. */
static void check_path_parameters(json_t *document, const struct tow_http_route *route,
                                  json_t *operation)
{
	size_t index, in_path = 0, parts = 0;
	json_t *value;
	char part[64];

	json_array_foreach(json_object_get(operation, "parameters"), index, value)
	{
		value = followed(document, value);
		assert_non_null(json_object_get(value, "schema"));
		if (strcmp(json_string_value(json_object_get(value, "in")), "path") != 0)
			continue;
		in_path++;
		snprintf(part, sizeof part, "{%s}",
		         json_string_value(json_object_get(value, "name")));
		if (!strstr(route->path, part))
			fail_msg("%s has no %s", route->path, part);
	}
	for (const char *c = route->path; *c; c++)
		parts += *c == '{';
	if (parts != in_path)
		fail_msg("%s: %zu of %zu parts are described", route->path, in_path, parts);
}

static void check_answers(json_t *document, const struct tow_http_route *route, json_t *operation)
{
	json_t *responses = json_object_get(operation, "responses"),
	       *security = json_object_get(operation, "security");
	int needs_key = json_array_size(security) == 1 &&
	                json_object_get(json_array_get(security, 0), "operator");
	const char *status;
	json_t *value;
	int good = 0;

	if (!!(route->flags & TOW__API_OPERATOR) != needs_key)
		fail_msg("%s %s: whose key?", route->method, route->path);
	if (needs_key && !json_object_get(responses, "401"))
		fail_msg("%s %s: no 401", route->method, route->path);
	if (!needs_key && !json_object_get(responses, "429"))
		fail_msg("%s %s: no 429", route->method, route->path);
	if (json_object_get(operation, "requestBody") && !json_object_get(responses, "413"))
		fail_msg("%s %s: no 413", route->method, route->path);
	json_object_foreach(responses, status, value)
	{
		value = followed(document, value);
		assert_non_null(value);
		assert_non_null(json_object_get(value, "description"));
		assert_non_null(json_object_get(value, "content"));
		good += *status == '2';
	}
	assert_int_equal(good, 1);
}

static void operations_are_whole(void **state)
{
	for (size_t i = 0; i < tow__api_route_count; i++) {
		const struct tow_http_route *route = &tow__api_routes[i];
		json_t *operation = operation_of(*state, route);
		const char *id = json_string_value(json_object_get(operation, "operationId"));

		assert_non_null(id);
		assert_non_null(json_object_get(operation, "summary"));
		check_path_parameters(*state, route, operation);
		check_answers(*state, route, operation);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(
				id,
				json_string_value(json_object_get(
					operation_of(*state, &tow__api_routes[k]), "operationId")));
	}
}

static void check_references(json_t *document, json_t *value)
{
	const char *key, *reference = json_string_value(json_object_get(value, "$ref"));
	json_t *item;
	size_t index;

	if (reference && !resolve(document, reference))
		fail_msg("%s is not there", reference);
	json_object_foreach(value, key, item) check_references(document, item);
	json_array_foreach(value, index, item) check_references(document, item);
}

static void references_lead_somewhere(void **state)
{
	check_references(*state, *state);
}

/* Codes that the HTTP server gives by itself, without a fault of the hub's. */
static const char *const server_codes[] = { "method_not_allowed", "payload_too_large" };

static int is_listed(const json_t *list, const char *code)
{
	size_t index;
	json_t *value;

	json_array_foreach(list, index,
	                   value) if (!strcmp(json_string_value(value), code)) return 1;
	return 0;
}

/* Several kinds of faults may share a code. */
static int is_known(const char *code)
{
	for (size_t i = 0; i < sizeof server_codes / sizeof *server_codes; i++)
		if (!strcmp(server_codes[i], code))
			return 1;
#define CHECK(name, status, text)                                                                  \
	if (!strcmp(text, code))                                                                   \
		return 1;
	TOW__FAULT_TABLE(CHECK)
#undef CHECK
	return 0;
}

static void every_code_is_listed_and_no_other(void **state)
{
	json_t *codes =
		resolve(*state, "#/components/schemas/Error/properties/error/properties/code/enum");
	json_t *code;
	size_t index;

#define CHECK(name, status, code)                                                                  \
	if (!is_listed(codes, code))                                                               \
		fail_msg("%s is not listed", code);
	TOW__FAULT_TABLE(CHECK)
#undef CHECK
	for (size_t i = 0; i < sizeof server_codes / sizeof *server_codes; i++)
		assert_true(is_listed(codes, server_codes[i]));
	json_array_foreach(codes, index, code) assert_true(is_known(json_string_value(code)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(every_route_is_described),
		T(every_description_has_a_route),
		T(operations_are_whole),
		T(references_lead_somewhere),
		T(every_code_is_listed_and_no_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
