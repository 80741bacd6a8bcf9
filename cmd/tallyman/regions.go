package main

import (
	"slices"

	"tallyman/fetch"
)

// regions are those of both clouds that were known when this was written. Others are
// asked for all the same, since new ones come: the list is for suggestions alone.
var regions = []string{
	// Alibaba Cloud
	"cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-qingdao", "cn-zhangjiakou", "cn-huhehaote", "cn-wulanchabu", "cn-shenzhen",
	"cn-heyuan", "cn-guangzhou", "cn-chengdu", "cn-nanjing", "cn-fuzhou", "cn-wuhan-lr", "cn-zhengzhou-jva", "cn-zhongwei", "cn-hongkong",
	"cn-hangzhou-finance", "cn-shanghai-finance-1", "cn-shenzhen-finance-1", "cn-beijing-finance-1", "cn-north-2-gov-1",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ap-northeast-1",
	"ap-northeast-2", "ap-south-1", "us-west-1", "us-east-1", "na-south-1", "eu-central-1", "eu-west-1", "me-east-1", "me-central-1",
	// Huawei Cloud, where these are not the same
	"cn-north-1", "cn-north-2", "cn-north-4", "cn-north-9", "cn-north-11", "cn-north-12", "cn-east-2", "cn-east-3", "cn-east-4", "cn-east-5",
	"cn-south-1", "cn-south-2", "cn-south-4", "cn-southwest-2", "ap-southeast-4", "af-south-1", "af-north-1", "la-north-2", "la-south-2",
	"na-mexico-1", "sa-brazil-1", "tr-west-1", "eu-west-0", "eu-west-101", "my-kualalumpur-1", "ru-northwest-2",
}

// nearestRegion returns the region that the one of a reference is most likely a
// misspelling of, or "" if that is known, or like none.
func nearestRegion(ref fetch.Ref) string {
	region := ref.Option("region")
	if region == "" && !ref.IsPrefix() && ref.Scheme() != "https" && ref.Scheme() != "http" && len(ref.Parts()) > 0 {
		region = ref.Parts()[0]
	}
	if region == "" || slices.Contains(regions, region) {
		return ""
	}
	return fetch.Nearest(region, regions)
}
