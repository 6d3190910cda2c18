use super::*;
use cipherfn_protocol::specs::{BaseLog, Levels};
use cipherfn_scheme::parameters::KeyPartContents;

/// A model of docs/benchmarks.md: selectors, levels, CMUXes, choices between constants, and the
/// milliseconds that one thread took to expand a row's selectors and to evaluate it.
struct Measured {
    model: &'static str,
    counts: (u32, u32, u32, u32),
    milliseconds: (f64, f64),
}

const fn measured(
    model: &'static str,
    counts: (u32, u32, u32, u32),
    milliseconds: (f64, f64),
) -> Measured {
    Measured {
        model,
        counts,
        milliseconds,
    }
}

const MEASURED: [Measured; 10] = [
    measured("xgb_bc", (77, 3, 221, 81), (11.0, 6.6)),
    measured("rf_bc", (146, 4, 2332, 195), (27.2, 77.0)),
    measured("gbc_bc", (120, 3, 176, 147), (18.0, 5.9)),
    measured("lgbm_bc", (314, 4, 590, 149), (66.0, 30.0)),
    measured("xgb_wine", (53, 3, 70, 62), (8.0, 2.5)),
    measured("xgbreg_diabetes", (363, 3, 302, 324), (52.0, 13.8)),
    measured("rfreg_diabetes", (222, 3, 132, 155), (32.0, 6.9)),
    measured(
        "100 full random trees",
        (1889, 3, 2819, 2720),
        (266.0, 123.0),
    ),
    measured("one tree", (173, 3, 4563, 406), (24.0, 121.0)),
    measured("one tree on a grid", (360, 3, 11_539, 406), (54.0, 361.0)),
];

#[test]
fn measured_models_are_predicted_within_a_fifth() {
    let costs = Costs::of(ParameterSet::by_name("cipherfn-128-n2048-m8-v1").unwrap());
    for Measured {
        model,
        counts: (selectors, levels, cmuxes, scalar_selects),
        milliseconds: (expand, evaluate),
    } in MEASURED
    {
        let work = Work {
            selectors,
            slots: selectors * levels,
            cmuxes,
            scalar_selects,
            ..Work::default()
        };
        let gadget = Gadget::new(BaseLog::new(6), Levels::new(levels));
        let predicted = costs.time(&work, gadget).get() / 1000.0;
        let ratio = predicted / (expand + evaluate);
        assert!((0.8..1.2).contains(&ratio), "{model}: {ratio}");
        // And not by one part making up for the other.
        let slots = costs.slot() * f64::from(work.slots) / 1000.0;
        assert!((0.85..1.15).contains(&(slots / expand)), "{model}: {slots}");
    }
}

/// Processor time of one thread, rows one by one (21 less 1), while others shared the machine's cores:
/// the key part that bootstraps, work, milliseconds a row.
#[test]
fn measured_networks_are_predicted_within_a_fifth() {
    let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
    let gadget = |base_log, levels| Gadget::new(BaseLog::new(base_log), Levels::new(levels));
    let two_of_30 = Work {
        bootstraps: 60,
        products: 62,
        terms: 900,
        key_switches: 11,
        ..Work::default()
    };
    let two_of_20 = Work {
        bootstraps: 40,
        products: 41,
        terms: 397,
        ..Work::default()
    };
    let three = Work {
        bootstraps: 28,
        selectors: 104,
        slots: 416,
        cmuxes: 1570,
        lookups: 16,
        terms: 473,
        key_switches: 12,
        ..Work::default()
    };
    for (model, part, work, gadget, milliseconds) in [
        (
            "torch_30_30_30_2_bc",
            "fast",
            two_of_30,
            gadget(9, 2),
            515.0,
        ),
        ("mlp_two_layers_bc", "fast", two_of_20, gadget(9, 2), 341.0),
        (
            "mlp_three_layers_wine",
            "precise",
            three,
            gadget(6, 4),
            430.0,
        ),
    ] {
        let part = set.part(&format!("bootstrap-{part}")).unwrap();
        let KeyPartContents::Bootstrap(bootstrap) = &part.contents else {
            panic!("a bootstrap")
        };
        let costs = Costs::of(set).with_bootstrap(bootstrap);
        let ratio = costs.time(&work, gadget).get() / 1000.0 / milliseconds;
        assert!((0.8..1.2).contains(&ratio), "{model}: {ratio}");
    }
}

#[test]
fn fewer_key_levels_a_slot_cost_less() {
    let slot = |set| Costs::of(ParameterSet::by_name(set).unwrap()).slot();
    let (balanced, compact) = (
        slot("cipherfn-128-n2048-m8-v1"),
        slot("cipherfn-128-n2048-m8-compact-v1"),
    );
    assert!(compact < balanced, "{compact} {balanced}");
}

#[test]
fn memory_costs_what_a_function_of_as_much_costs() {
    let takes = |time: f64, memory: f64| Takes {
        time: Microseconds::new(time),
        memory: memory * FUNCTION_MEMORY,
        query: 0.0,
    };
    let price = |prefer, takes: Takes| takes.price((Profile::Wide, prefer), 0);
    for (prefer, expected) in [
        (None, 2e6),
        (Some(Prefer::Size), 2e6),
        (Some(Prefer::Time), 1.1e6),
    ] {
        let found = price(prefer, takes(1e6, 1.0));
        assert!((found - expected).abs() < 1e-6, "{found}");
    }
    // A hundredth of the memory for a hundredth of the time that it is taken for.
    let little = takes(0.0, 0.01);
    for (time, memory, expected) in [(0.0, 0.0, 0.0), (1e4, 0.02, 1e2), (5e6, 0.8, 5e4)] {
        let rise = takes(time, memory).rise((Profile::Wide, None), little);
        assert!((rise - expected).abs() < 1e-6, "{rise}");
    }
    let more = takes(100.0, 0.0);
    let rise = takes(5e6, 0.5).rise((Profile::Wide, None), more);
    assert!((rise - 150.0).abs() < 1e-6, "{rise}");
}
