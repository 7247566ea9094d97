# A short front for CMake; `make help` lists the targets. CMake presets work without it.
#   CC=clang       another compiler, in its own build folder
#   JOBS=n         compilers and tests at a time
#   BUILD=folder   where all build folders lie (default: build)
#   ONLY=regex     check*, torture: only test executables whose name matches
#   DEPS=no        never install packages

BUILD ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
ONLY ?=
DEPS ?= yes
FUZZ_SECONDS ?= 60
NICE ?= nice

# CC counts only where somebody set it: make's own default says nothing.
ifneq ($(filter default undefined,$(origin CC)),)
  suffix :=
  cc_arg :=
else
  suffix := $(if $(filter gcc cc,$(CC)),,-$(notdir $(firstword $(CC))))
  cc_arg := -DCMAKE_C_COMPILER=$(CC)
endif

release := $(BUILD)/release$(suffix)
check_py = $(NICE) python3 scripts/check.py --jobs $(JOBS) $(if $(value ONLY),--only '$(value ONLY)')

# Where threads meet: the pool, kernels in grains, readers that run ahead, whole steps, messages between ranks. Under ThreadSanitizer the
# others cost hours and show nothing more.
tsan_only := ^(backends|base|data|ops)/|^run/test_(checkpoint|kills|native|nonfinite|ranks|saver|steady|threads)|^cli/test_train_ranks

# $(call build,preset,folder,arguments,target): configure where needed, compile (without a target: all). The lock keeps two makes in one folder apart.
build = mkdir -p $(2) && $(NICE) flock $(2)/.lock sh -c '{ test -e $(2)/build.ninja && test -z "$(strip $(3))" \
	|| cmake --preset $(1) -B $(2) $(cc_arg) $(3) --log-level=WARNING >$(2)/configure.log \
	|| { cat $(2)/configure.log; false; }; } \
	&& cmake --build $(2) -j $(JOBS) $(if $(4),--target $(4))'

.DEFAULT_GOAL := all
.PHONY: all demo demo-long check check-asan check-tsan torture fuzz format lint install clean help deps deps-check deps-fuzz deps-lint

all: deps ## build the library and the command, build/farandole (default)
	@$(call build,release,$(release),,farandole_cli)
	@ln -sfn release$(suffix)/farandole $(BUILD)/farandole

demo: deps ## simulate a particle detector, train CosmicTagger's network on it, write a report (some ten minutes)
	@$(call build,release,$(release),,farandole_cli)
	@ln -sfn release$(suffix)/farandole $(BUILD)/farandole
	@scripts/demo.sh $(BUILD)/farandole

demo-long: deps ## the same from more events, for most of an hour: tells more of a neutrino's pixels from the others
	@$(call build,release,$(release),,farandole_cli)
	@ln -sfn release$(suffix)/farandole $(BUILD)/farandole
	@scripts/demo.sh $(BUILD)/farandole runs long

check: deps-check ## build, run all tests, then the style checks; the last line counts
	@$(call build,release,$(release)) || { echo "build failed"; echo "0 passed, 1 failed"; exit 1; }
	@ln -sfn release$(suffix)/farandole $(BUILD)/farandole
	@$(check_py) --style $(release)

check-asan: deps ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(call build,asan,$(BUILD)/asan$(suffix)) || { echo "build failed"; echo "0 passed, 1 failed"; exit 1; }
	@$(check_py) --timeout 3600 $(BUILD)/asan$(suffix)

check-tsan: deps ## the tests in which threads meet under ThreadSanitizer; ONLY=. all of them
	@$(call build,tsan,$(BUILD)/tsan$(suffix)) || { echo "build failed"; echo "0 passed, 1 failed"; exit 1; }
	@$(check_py) --timeout 3600 $(if $(value ONLY),,--only '$(tsan_only)') $(BUILD)/tsan$(suffix)

torture: deps ## the long tests, FAR_TEST_TORTURE
	@$(call build,release,$(release))
	@$(check_py) --torture --timeout 7200 $(release)

fuzz: deps-fuzz ## each fuzz target for FUZZ_SECONDS (60)
	@$(call build,fuzz,$(BUILD)/fuzz)
	@$(NICE) scripts/fuzz.sh $(BUILD)/fuzz $(FUZZ_SECONDS) '$(value ONLY)'

format: deps-check ## apply .clang-format to all C files; FILES="a.c b.h" narrows it
	@python3 scripts/check.py --format $(FILES)

lint: deps-lint ## clang-tidy over src; FILES="a.c b.c" narrows it
	@$(call build,release,$(release))
	@$(NICE) python3 scripts/lint.py --jobs $(JOBS) $(release) $(FILES)

install: all ## install to PREFIX (/usr/local), under DESTDIR where set
	@cmake --install $(release) $(if $(PREFIX),--prefix $(PREFIX))

clean: ## remove all that was built
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@sed -n '2,/^$$/s/^#  / /p' $(firstword $(MAKEFILE_LIST))

ifeq ($(DEPS),no)
deps deps-check deps-fuzz deps-lint:
else
deps: ; @scripts/install-deps.sh build
deps-check: ; @scripts/install-deps.sh check
deps-fuzz: ; @scripts/install-deps.sh fuzz
deps-lint: ; @scripts/install-deps.sh lint
endif
