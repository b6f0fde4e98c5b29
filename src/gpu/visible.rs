//! `CUDA_VISIBLE_DEVICES`: which of the machine's cards CUDA shows, and in what order.

use super::inventory::Device;

/// What CUDA numbers as one device: a card, or an instance of a card that is split (MIG).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visible {
    /// Place of the card in the inventory's devices.
    pub device: usize,
    /// Place of the instance in the card's instances.
    pub instance: Option<usize>,
}

/// What a list may name; the kind of its first entry is that of all.
#[derive(PartialEq, Clone, Copy)]
enum Kind {
    Index,
    Uuid,
    Mig,
}

/// CUDA's devices by their numbers, given the variable's value (`None` where it is not set). The rules are CUDA's: an
/// empty value shows nothing; an entry that names nothing ends the list; an entry that names what was named already
/// empties it; a UUID may be cut short if it still names one card only.
///
/// Cards are taken to be numbered as NVML does, by bus (`CUDA_DEVICE_ORDER=PCI_BUS_ID`). By default CUDA puts the
/// fastest first, which is the same among equal cards; where it matters the driver is asked for the UUID instead.
pub fn visible(devices: &[Device], setting: Option<&str>) -> Vec<Visible> {
    let Some(setting) = setting else { return unrestricted(devices) };
    let kind_of = |entry: &str| match entry {
        e if e.starts_with("GPU-") => Kind::Uuid,
        e if e.starts_with("MIG-") => Kind::Mig,
        _ => Kind::Index,
    };
    let kind = kind_of(setting.trim_start());
    let mut shown = Vec::new();
    for entry in setting.split(',').map(str::trim_start) {
        let named = match kind {
            _ if kind_of(entry) != kind => None,
            Kind::Index => index(entry).filter(|i| *i < devices.len()).and_then(|i| whole_or_first(devices, i)),
            Kind::Uuid => only(devices.iter().enumerate().filter(|(_, d)| d.uuid.starts_with(entry.trim_end())))
                .and_then(|i| whole_or_first(devices, i)),
            Kind::Mig => instances(devices).find(|v| uuid_of(devices, *v) == Some(entry.trim_end())),
        };
        match named {
            None => break,
            Some(twice) if shown.contains(&twice) => return Vec::new(),
            Some(new) => shown.push(new),
        }
    }
    shown
}

/// Every whole card; where there is none, one instance, since CUDA shows a process no more.
fn unrestricted(devices: &[Device]) -> Vec<Visible> {
    let whole: Vec<Visible> = devices
        .iter()
        .enumerate()
        .filter(|(_, device)| device.mig != Some(true))
        .map(|(device, _)| Visible { device, instance: None })
        .collect();
    if whole.is_empty() { instances(devices).take(1).collect() } else { whole }
}

/// A card, or the first instance of one that is split.
fn whole_or_first(devices: &[Device], device: usize) -> Option<Visible> {
    if devices[device].mig == Some(true) {
        instances(devices).find(|visible| visible.device == device)
    } else {
        Some(Visible { device, instance: None })
    }
}

fn instances(devices: &[Device]) -> impl Iterator<Item = Visible> {
    devices.iter().enumerate().flat_map(|(device, d)| {
        (0..d.instances.len()).map(move |instance| Visible { device, instance: Some(instance) })
    })
}

fn uuid_of(devices: &[Device], visible: Visible) -> Option<&str> {
    let device = &devices[visible.device];
    Some(&device.instances.get(visible.instance?)?.uuid)
}

/// The number at the start of an entry, read as C's `strtoul` does: what follows it does not matter.
fn index(entry: &str) -> Option<usize> {
    let digits = entry.strip_prefix('+').unwrap_or(entry);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

fn only<'a>(mut matches: impl Iterator<Item = (usize, &'a Device)>) -> Option<usize> {
    match (matches.next(), matches.next()) {
        (Some((index, _)), None) => Some(index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::inventory::MigInstance;
    use super::*;

    fn card(uuid: &str) -> Device {
        Device { uuid: uuid.into(), ..Device::default() }
    }

    fn cards() -> Vec<Device> {
        ["GPU-8932f937-0000", "GPU-8932aaaa-1111", "GPU-77770000-2222"].map(card).into()
    }

    fn numbers(devices: &[Device], setting: Option<&str>) -> Vec<usize> {
        let shown = visible(devices, setting);
        assert!(shown.iter().all(|v| v.instance.is_none()));
        shown.iter().map(|v| v.device).collect()
    }

    #[test]
    fn cards_are_shown_as_cuda_shows_them() {
        let none: [usize; 0] = [];
        let cases: &[(Option<&str>, &[usize])] = &[
            (None, &[0, 1, 2]),
            (Some(""), &none),
            (Some("1"), &[1]),
            (Some("2,0"), &[2, 0]),
            (Some("0, 2"), &[0, 2]),
            (Some("0,2,-1,1"), &[0, 2]),
            (Some("-1"), &none),
            (Some("0,7,1"), &[0]),
            (Some("NoDevFiles"), &none),
            (Some("none"), &none),
            (Some("1gpu2,2ampere"), &[1, 2]),
            (Some("0,0"), &none),
            (Some("0,1,0"), &none),
            (Some("GPU-7777"), &[2]),
            (Some("GPU-77770000-2222,GPU-8932f937-0000"), &[2, 0]),
            (Some("GPU-8932"), &none),
            (Some("GPU-8932f"), &[0]),
            (Some("GPU-7,GPU-8932a,GPU-dead,GPU-8932f"), &[2, 1]),
            (Some("GPU-7,1"), &[2]),
            (Some("1,GPU-7"), &[1]),
            (Some("99999999999999999999"), &none),
        ];
        for (setting, expected) in cases {
            assert_eq!(numbers(&cards(), *setting), *expected, "{setting:?}");
        }
        assert_eq!(numbers(&[], None), none);
        assert_eq!(numbers(&[], Some("0")), none);
    }

    #[test]
    fn instances_of_a_split_card() {
        let instance = |uuid: &str| MigInstance { uuid: uuid.into(), ..MigInstance::default() };
        let split = Device { mig: Some(true), instances: vec![instance("MIG-a"), instance("MIG-b")], ..card("GPU-1") };
        let bare = Device { mig: Some(true), ..card("GPU-2") };
        let devices = [bare, split, card("GPU-3")];
        let part = |instance| Visible { device: 1, instance: Some(instance) };
        let whole = |device| Visible { device, instance: None };
        assert_eq!(visible(&devices, None), [whole(2)]);
        assert_eq!(visible(&devices[..2], None), [part(0)], "one instance, no more");
        assert_eq!(visible(&devices, Some("MIG-b")), [part(1)]);
        assert_eq!(visible(&devices, Some("MIG-b,MIG-a,MIG-c")), [part(1), part(0)]);
        assert_eq!(visible(&devices, Some("1,2")), [part(0), whole(2)]);
        assert_eq!(visible(&devices, Some("0,2")), [], "a split card without instances is nothing to compute on");
    }

    proptest::proptest! {
        /// Whatever stands in the variable: no panic, no card twice, none that is not there.
        #[test]
        fn any_text_is_read(text in "[-+0-9,GPUMI a-f]{0,40}") {
            let devices = cards();
            let shown = numbers(&devices, Some(&text));
            let distinct: std::collections::BTreeSet<usize> = shown.iter().copied().collect();
            assert_eq!(distinct.len(), shown.len());
            assert!(shown.iter().all(|i| *i < devices.len()));
        }
    }
}
